// Package existing is the provider for a cluster that you have already: any
// kubeconfig, any S3 bucket, any registry. It makes nothing. Instead it checks that
// the cluster has what berth needs, and on every command that it is still the same
// cluster.
package existing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Provider is an existing cluster. It implements [provider.Provider].
type Provider struct {
	config *config.Config
}

// New returns the provider for the settings under existing in berth.yaml. It
// reaches for nothing yet.
func New(c *config.Config) (*Provider, error) {
	return &Provider{c}, nil
}

// Init checks that the cluster has what berth needs and remembers which one it
// is.
func (p *Provider) Init(ctx context.Context, r progress.Reporter) error {
	return progress.Run(r, "Check cluster "+p.config.Existing.Context, func(step progress.Step) error {
		found, err := p.connect()
		if err != nil {
			return err
		}
		uid, err := found.identity(ctx)
		if err != nil {
			return err
		}
		record := p.record()
		if err := record.compare(uid); err != nil && !errors.Is(err, provider.ErrNotUp) {
			return err
		}
		var missing []string
		for _, check := range p.checkCluster(ctx, found, step) {
			if check.Problem != "" {
				missing = append(missing, check.Name+": "+check.Problem)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(missing) > 0 {
			return fault.WithHint(
				fmt.Errorf("cluster %s is missing what berth needs:\n  %s", found.name, strings.Join(missing, "\n  ")),
				"berth doctor says how to fix each")
		}
		return record.write(uid, found.rest.Host)
	})
}

// Cluster connects to the cluster that Init has seen, and refuses another one
// that goes by the same name.
func (p *Provider) Cluster(ctx context.Context) (*provider.Cluster, error) {
	found, err := p.connect()
	if err != nil {
		return nil, err
	}
	record := p.record()
	if !record.exists() {
		return nil, notPrepared{p.config.Name, found.name}
	}
	uid, err := found.identity(ctx)
	if err != nil {
		return nil, err
	}
	if err := record.compare(uid); err != nil {
		return nil, err
	}
	e := p.config.Existing
	return &provider.Cluster{
		Name: found.name, REST: found.rest, Kubeconfig: e.Kubeconfig,
		StorageClass: e.StorageClass, IngressClass: e.IngressClass, Issuer: e.Issuer,
		PullLogins: image.PullLogins,
	}, nil
}

// notPrepared is [provider.ErrNotUp] in the words of a cluster that is up.
type notPrepared struct{ name, cluster string }

func (e notPrepared) Error() string {
	return fmt.Sprintf("cluster %s has not been prepared for %s from here", e.cluster, e.name)
}

func (e notPrepared) Is(target error) bool { return target == provider.ErrNotUp }

// Publish builds an image and pushes it to the registry.
func (p *Provider) Publish(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	if p.config.Existing.Registry == "" {
		return "", fault.WithHint(fault.Usage("there is no registry for the image of %s", b.Name),
			"set existing.registry in berth.yaml")
	}
	return image.Publish(ctx, b, p.config.Existing.Registry, r)
}

// Scale refuses: the nodes are not berth's.
func (p *Provider) Scale(context.Context, provider.Scale, progress.Reporter) error {
	return fault.WithHint(
		fmt.Errorf("the nodes of cluster %s are yours, berth did not make them", p.config.Existing.Context),
		"scale them where you made the cluster; an environment's replicas are in berth.yaml")
}

// Destroy forgets the cluster. There is nothing else that Init made.
func (p *Provider) Destroy(_ context.Context, r progress.Reporter) (kept []string, err error) {
	e := p.config.Existing
	err = progress.Run(r, "Forget cluster "+e.Context, func(progress.Step) error { return p.record().remove() })
	if err != nil {
		return nil, err
	}
	kept = []string{
		fmt.Sprintf("cluster %s with its nodes and everything else in it", e.Context),
		fmt.Sprintf("its ingress controller, of class %s", e.IngressClass),
	}
	if e.Bucket.Name != "" {
		kept = append(kept, fmt.Sprintf("bucket %s at %s with what is in it", e.Bucket.Name, e.Bucket.Endpoint))
	}
	if e.Registry != "" && p.config.Image == "" {
		kept = append(kept, fmt.Sprintf("the images in %s/%s", e.Registry, p.config.Name))
	}
	return kept, nil
}
