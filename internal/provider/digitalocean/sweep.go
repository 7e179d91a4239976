package digitalocean

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/digitalocean/godo"

	"berth/internal/progress"
)

// orphans are what Kubernetes has made at DigitalOcean, which outlives its
// cluster and is billed. They are written down before the cluster is removed:
// afterwards nobody can tell all of them.
type orphans struct {
	ClusterID     string                     `json:"cluster_id"`
	LoadBalancers []*godo.AssociatedResource `json:"load_balancers"`
	Volumes       []*godo.AssociatedResource `json:"volumes"`
	// Snapshots of volumes are kept: somebody has made them on purpose.
	Snapshots []*godo.AssociatedResource `json:"volume_snapshots"`
}

// recordOrphans writes down what belongs to the cluster, or reads what was
// written down when there is no cluster any more.
func (p *Provider) recordOrphans(ctx context.Context, in *intent) (*orphans, error) {
	o := &orphans{}
	text, err := os.ReadFile(p.orphansFile())
	switch {
	case err == nil:
		if err := json.Unmarshal(text, o); err != nil {
			return nil, fmt.Errorf("read %s: %w", p.orphansFile(), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if in.found.cluster == nil {
		if o.ClusterID == "" {
			o.ClusterID = in.known.id(clusterAddress)
		}
		return o, nil
	}
	id := in.found.cluster.ID
	if o.ClusterID != id {
		o = &orphans{ClusterID: id}
	}
	associated, _, err := p.api.Kubernetes.ListAssociatedResourcesForDeletion(ctx, id)
	if err != nil {
		return nil, wrap("list what belongs to the cluster", explain(err))
	}
	o.LoadBalancers = merge(o.LoadBalancers, associated.LoadBalancers)
	o.Volumes = merge(o.Volumes, associated.Volumes)
	o.Snapshots = merge(o.Snapshots, associated.VolumeSnapshots)
	text, err = json.MarshalIndent(o, "", "  ")
	if err != nil {
		return nil, err
	}
	return o, writePrivate(p.orphansFile(), append(text, '\n'))
}

func (p *Provider) orphansFile() string { return filepath.Join(p.folder(), "orphans.json") }

func merge(before, more []*godo.AssociatedResource) []*godo.AssociatedResource {
	for _, one := range more {
		if !slices.ContainsFunc(before, func(b *godo.AssociatedResource) bool { return b.ID == one.ID }) {
			before = append(before, one)
		}
	}
	return before
}

// sweep waits until the cluster is gone and removes what it has left: what was
// written down, and what has its tag.
func (p *Provider) sweep(ctx context.Context, o *orphans, r progress.Reporter) error {
	if o.ClusterID == "" {
		return nil
	}
	if err := p.awaitGone(ctx, o.ClusterID, r); err != nil {
		return err
	}
	return progress.Run(r, "Sweep up what the cluster left", func(step progress.Step) error {
		if err := p.addTagged(ctx, o); err != nil {
			return err
		}
		for _, one := range o.LoadBalancers {
			step.Detail("load balancer " + one.Name)
			if err := p.removeOrphan(ctx, "load balancer "+one.Name, one.ID, p.api.LoadBalancers.Delete, func(ctx context.Context, id string) error {
				_, _, err := p.api.LoadBalancers.Get(ctx, id)
				return err
			}); err != nil {
				return err
			}
		}
		for _, one := range o.Volumes {
			step.Detail("volume " + one.Name)
			if err := p.removeOrphan(ctx, "volume "+one.Name, one.ID, p.api.Storage.DeleteVolume, func(ctx context.Context, id string) error {
				_, _, err := p.api.Storage.GetVolume(ctx, id)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// addTagged adds what DigitalOcean's controllers have tagged as the cluster's
// since the list was written down.
func (p *Provider) addTagged(ctx context.Context, o *orphans) error {
	tag := clusterTag(o.ClusterID)
	balancers, err := all(func(page *godo.ListOptions) ([]godo.LoadBalancer, *godo.Response, error) {
		return p.api.LoadBalancers.List(ctx, page)
	})
	if err != nil {
		return wrap("list load balancers", err)
	}
	for _, one := range balancers {
		if slices.Contains(one.Tags, tag) {
			o.LoadBalancers = merge(o.LoadBalancers, []*godo.AssociatedResource{{ID: one.ID, Name: one.Name}})
		}
	}
	volumes, err := all(func(page *godo.ListOptions) ([]godo.Volume, *godo.Response, error) {
		return p.api.Storage.ListVolumes(ctx, &godo.ListVolumeParams{ListOptions: page})
	})
	if err != nil {
		return wrap("list volumes", err)
	}
	for _, one := range volumes {
		if slices.Contains(one.Tags, tag) {
			o.Volumes = merge(o.Volumes, []*godo.AssociatedResource{{ID: one.ID, Name: one.Name}})
		}
	}
	return nil
}

// removeOrphan removes one thing and waits until it is gone. A volume cannot go
// before its node has, so what is refused is tried again.
func (p *Provider) removeOrphan(ctx context.Context, what, id string,
	remove func(context.Context, string) (*godo.Response, error), get func(context.Context, string) error) error {
	var refused error
	err := p.poll(ctx, removeTime, func(ctx context.Context) (bool, error) {
		if _, err := remove(ctx, id); err != nil && !isNotFound(err) {
			if hasStatus(err, http.StatusConflict) || hasStatus(err, http.StatusUnprocessableEntity) {
				refused = err
				return false, nil
			}
			return false, explain(err)
		}
		err := get(ctx, id)
		if isNotFound(err) {
			return true, nil
		}
		return false, explain(err)
	})
	if err != nil && refused != nil {
		err = fmt.Errorf("%w; last it said: %w", err, refused)
	}
	return wrap("remove "+what, err)
}
