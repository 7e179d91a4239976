package digitalocean

import (
	"context"
	"fmt"
	"strings"
	"time"

	"berth/internal/fault"
	"berth/internal/progress"
)

// addressTime bounds how long a load balancer may take to get an address.
const addressTime = 15 * time.Minute

// MakeRecords implements provider.Namer. Once the ingress controller is
// installed, its load balancer has an address that the hosts' DNS records can
// say. Init keeps them afterwards.
func (p *Provider) MakeRecords(ctx context.Context, r progress.Reporter) error {
	v := newVariables(p.config)
	if v.Domain == nil || len(v.Hosts) == 0 || p.loadBalancer() == nil {
		return nil
	}
	cluster, err := p.findCluster(ctx)
	if err != nil || cluster == nil {
		return err
	}
	var address string
	err = progress.Run(r, "Wait for the load balancer's address", func(step progress.Step) error {
		err := p.poll(ctx, addressTime, func(ctx context.Context) (bool, error) {
			balancer, err := p.findIngress(ctx, cluster.ID)
			if err != nil || balancer == nil {
				return false, err
			}
			step.Detail("it is " + balancer.Status)
			address = balancer.IP
			return address != "", nil
		})
		return fault.WithHint(err, "see what Kubernetes says about it: kubectl --kubeconfig %s -n ingress describe service", p.kubeconfig())
	})
	if err != nil {
		return err
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	w, err := p.open(ctx, r)
	if err != nil {
		return err
	}
	in, err := p.prepare(ctx, w, r, func(v *variables) { v.IngressIP = &address })
	if err != nil {
		return err
	}
	if _, err := p.change(ctx, w, in, r); err != nil {
		return fmt.Errorf("make the DNS records of %s: %w", strings.Join(v.Hosts, ", "), err)
	}
	return nil
}
