package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
	"berth/internal/progress"
)

// letGoTime bounds how long the cluster may take to give back its load
// balancers itself. What it does not, the sweep removes.
const letGoTime = 3 * time.Minute

// Destroy implements provider.Provider. It keeps the Space, a container registry,
// and a managed PostgreSQL with its network, because their contents cannot be made
// again.
func (p *Provider) Destroy(ctx context.Context, r progress.Reporter) (kept []string, err error) {
	unlock, err := p.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	w, err := p.open(ctx, r)
	if err != nil {
		return nil, err
	}
	// DNS records that are not Terraform's are nobody's business here.
	in, err := p.prepare(ctx, w, r, func(v *variables) { v.IngressIP = nil })
	if err != nil {
		return nil, err
	}
	if !in.ownsDatabase() {
		in.found.database = nil
	}
	orphans, err := p.recordOrphans(ctx, in)
	if err != nil {
		return nil, err
	}
	switch {
	case in.found.cluster == nil:
	case isUsable(in.found.cluster):
		err = p.letGo(ctx, r)
	default:
		err = p.discard(ctx, w, in, r)
	}
	if err != nil {
		return nil, err
	}
	if err := p.fence(ctx, in, r); err != nil {
		return nil, err
	}
	if err := p.takeOver(ctx, w, in, r); err != nil {
		return nil, err
	}
	// The cluster goes before its network, which cannot go with all that is in
	// it, and the project before the cluster: it cannot give back what is gone.
	for _, target := range []string{projectAddress, clusterAddress} {
		if err := p.removeAll(ctx, w, in, r, target); err != nil {
			return nil, err
		}
	}
	if err := p.sweep(ctx, orphans, r); err != nil {
		return nil, err
	}
	if err := p.removeAll(ctx, w, in, r); err != nil {
		return nil, err
	}
	if err := p.dropLostKeys(ctx, in); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(p.folder()); err != nil {
		return nil, fmt.Errorf("remove berth's folder: %w", err)
	}
	p.keptBeside = p.kept(in, orphans)
	if !in.found.bucket {
		return p.keptBeside, nil
	}
	space := fmt.Sprintf("Space %s in %s with the backups and logs in it; berth destroy --delete-backups removes it",
		in.variables.Bucket, bucketRegion(in.variables.Region))
	return append([]string{space}, p.keptBeside...), nil
}

// kept names what stays besides the Space.
func (p *Provider) kept(in *intent, o *orphans) []string {
	var kept []string
	if state := p.config.DigitalOcean.State; state != "" {
		kept = append(kept, fmt.Sprintf("Space %s with Terraform's state, which says that there is nothing", state))
	}
	if in.found.registry != nil {
		kept = append(kept, "container registry "+in.found.registry.Name+" with its images; doctl registry delete removes it")
	}
	if database := in.found.database; database != nil {
		kept = append(kept, fmt.Sprintf("managed PostgreSQL %s with all its databases, which is billed as before; doctl databases delete %s removes it, and DigitalOcean's backups of it",
			database.Name, database.ID))
		if vpc := in.found.vpc; vpc != nil {
			kept = append(kept, fmt.Sprintf("network %s, which the managed PostgreSQL is in; doctl vpcs delete %s removes it afterwards", vpc.Name, vpc.ID))
		}
	}
	if in.found.domain != nil && !in.variables.CreateDomain {
		kept = append(kept, "domain "+in.found.domain.Name+", which was there before")
	}
	for _, snapshot := range o.Snapshots {
		kept = append(kept, "volume snapshot "+snapshot.Name)
	}
	return kept
}

// ownsDatabase reports whether a database of the right name is the cluster's: in
// its network, or made by its Terraform.
func (in *intent) ownsDatabase() bool {
	database, vpc := in.found.database, in.found.vpc
	return database != nil && (in.known.has(databaseAddress) || vpc != nil && database.PrivateNetworkUUID == vpc.ID)
}

// fence lets only its own network reach a database that stays. Its present rule names
// the cluster, which goes, and without any rule everybody could reach it.
func (p *Provider) fence(ctx context.Context, in *intent, r progress.Reporter) error {
	database, vpc := in.found.database, in.found.vpc
	if database == nil || vpc == nil {
		return nil
	}
	return progress.Run(r, "Let only its network reach the PostgreSQL cluster", func(progress.Step) error {
		_, err := p.api.Databases.UpdateFirewallRules(ctx, database.ID, &godo.DatabaseUpdateFirewallRulesRequest{
			Rules: []*godo.DatabaseFirewallRule{{Type: "ip_addr", Value: vpc.IPRange}},
		})
		return wrap("change the firewall of "+database.Name, explain(err))
	})
}

// takeOver makes Terraform's state hold exactly what is to be removed: also what a
// killed run has left, and nothing that stays.
func (p *Provider) takeOver(ctx context.Context, w *workspace, in *intent, r progress.Reporter) error {
	in.going = map[string]bool{}
	// A destroy takes no notice of import blocks.
	if err := w.writeImports(nil); err != nil {
		return fmt.Errorf("write what Terraform imports: %w", err)
	}
	things, err := in.found.unknown(in.variables, in.known)
	if err != nil {
		return err
	}
	for _, thing := range things {
		if in.keeps(thing.address) {
			continue
		}
		if err := progress.Run(r, "Take over "+title(thing.address), func(progress.Step) error { return w.add(ctx, thing.address, thing.id) }); err != nil {
			return err
		}
		in.going[thing.address] = true
	}
	for _, address := range slices.Sorted(maps.Keys(in.known.resources)) {
		in.going[address] = !in.keeps(address)
		if in.keeps(address) {
			if err := progress.Run(r, "Keep "+title(address), func(progress.Step) error { return w.forget(ctx, address) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// keeps reports whether a destroy leaves the resource at one of Terraform's addresses:
// whatever holds data, and the network that a database is in.
func (in *intent) keeps(address string) bool {
	switch kind, _, _ := strings.Cut(address, "."); kind {
	case bucketType, registryType, databaseType, databaseSchemaType, firewallType:
		return true
	case vpcType:
		return in.found.database != nil
	}
	return false
}

// removeAll removes what Terraform knows: only the targets and what depends on
// them where there are any.
func (p *Provider) removeAll(ctx context.Context, w *workspace, in *intent, r progress.Reporter, targets ...string) error {
	going := func(address string) bool { return in.going[address] }
	if !slices.ContainsFunc(targets, going) && (len(targets) > 0 || !slices.ContainsFunc(slices.Collect(maps.Keys(in.going)), going)) {
		return nil // Terraform knows of none
	}
	plan, err := w.plan(ctx, true, targets...)
	if err != nil {
		return err
	}
	for _, one := range plan.ResourceChanges {
		if in.keeps(one.Address) && one.Change.Actions.Delete() {
			return errors.Join(fmt.Errorf("the plan would remove %s, which is to be kept: nothing was changed", title(one.Address)), w.dropPlan())
		}
	}
	if len(changes(plan)) == 0 {
		return w.dropPlan()
	}
	return w.apply(ctx, r)
}

// letGo has Kubernetes remove its load balancers and volumes, if the cluster answers:
// its own controllers do that most cleanly.
func (p *Provider) letGo(ctx context.Context, r progress.Reporter) error {
	return progress.Run(r, "Give back load balancers and volumes", func(step progress.Step) error {
		err := p.release(ctx, step)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.Note("the cluster did not release everything itself, so berth removes the rest: " + err.Error())
		}
		return nil
	})
}

func (p *Provider) release(ctx context.Context, step progress.Step) error {
	ctx, cancel := context.WithTimeout(ctx, letGoTime)
	defer cancel()
	client, err := p.client(ctx)
	if err != nil {
		return err
	}
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, claim := range claims.Items {
		err := client.CoreV1().PersistentVolumeClaims(claim.Namespace).Delete(ctx, claim.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return p.poll(ctx, letGoTime, func(ctx context.Context) (bool, error) {
		services, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		left := 0
		for _, service := range services.Items {
			if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
				continue
			}
			left++
			if service.DeletionTimestamp != nil {
				continue
			}
			err := client.CoreV1().Services(service.Namespace).Delete(ctx, service.Name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
		}
		step.Detail(fmt.Sprintf("%d load balancers are left", left))
		return left == 0, nil
	})
}

// RemoveBucket implements provider.BucketRemover.
func (p *Provider) RemoveBucket(ctx context.Context, r progress.Reporter) (kept []string, err error) {
	unlock, err := p.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	cluster, err := p.findCluster(ctx)
	if err != nil {
		return nil, err
	}
	if cluster != nil {
		return nil, fault.WithHint(fmt.Errorf("cluster %s exists and writes to the Space", cluster.Name), "berth destroy removes the cluster first")
	}
	err = progress.Run(r, "Remove the Space with the backups", func(step progress.Step) error {
		return p.removeBucket(ctx, func(removed int) { step.Detail(fmt.Sprintf("%d objects removed", removed)) })
	})
	return p.keptBeside, err
}
