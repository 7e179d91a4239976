package fake

import (
	"net/http"
	"slices"
	"time"

	"github.com/digitalocean/godo"
)

// Volume is a block storage volume.
type Volume struct{ godo.Volume }

// Snapshot is a snapshot of a volume.
type Snapshot struct{ godo.Snapshot }

// routeStorage answers for volumes and their snapshots.
func (f *Fake) routeStorage() {
	const volumes = "/v2/volumes"
	f.handle("GET "+volumes, list("volumes", func(r *http.Request) []*Volume {
		query := r.URL.Query()
		return filter(f.account.Volumes, func(v *Volume) bool {
			return (query.Get("name") == "" || query.Get("name") == v.Name) && (query.Get("region") == "" || query.Get("region") == v.Region.Slug)
		})
	}))
	f.handle("POST "+volumes, f.createVolume)
	f.handle("GET "+volumes+"/{volume}", f.withVolume(func(_ *http.Request, v *Volume) (int, any, error) {
		return http.StatusOK, map[string]any{"volume": v}, nil
	}))
	f.handle("DELETE "+volumes+"/{volume}", f.withVolume(func(_ *http.Request, v *Volume) (int, any, error) {
		if len(v.DropletIDs) > 0 {
			return 0, nil, &apiError{http.StatusConflict, "conflict", "volume is attached to a Droplet"}
		}
		f.deleteAssociated(nil, []string{v.ID}, nil)
		return http.StatusNoContent, nil, nil
	}))
	f.handle("GET "+volumes+"/{volume}/snapshots", f.withVolume(func(r *http.Request, v *Volume) (int, any, error) {
		body, err := page(r, "snapshots", filter(f.account.Snapshots, func(s *Snapshot) bool { return s.ResourceID == v.ID }))
		return http.StatusOK, body, err
	}))
	f.handle("POST "+volumes+"/{volume}/snapshots", f.withVolume(f.createSnapshot))

	const snapshots = "/v2/snapshots"
	f.handle("GET "+snapshots, list("snapshots", func(r *http.Request) []*Snapshot {
		kind := r.URL.Query().Get("resource_type")
		return filter(f.account.Snapshots, func(s *Snapshot) bool { return kind == "" || kind == s.ResourceType })
	}))
	f.handle("GET "+snapshots+"/{snapshot}", f.withSnapshot(func(s *Snapshot) (int, any, error) {
		return http.StatusOK, map[string]any{"snapshot": s}, nil
	}))
	f.handle("DELETE "+snapshots+"/{snapshot}", f.withSnapshot(func(s *Snapshot) (int, any, error) {
		f.deleteAssociated(nil, nil, []string{s.ID})
		return http.StatusNoContent, nil, nil
	}))
}

func (f *Fake) withVolume(work func(*http.Request, *Volume) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*Volume, error) {
		return find(f.account.Volumes, func(v *Volume) bool { return v.ID == r.PathValue("volume") })
	}, work)
}

func (f *Fake) withSnapshot(work func(*Snapshot) (int, any, error)) endpoint {
	return func(r *http.Request) (int, any, error) {
		s, err := find(f.account.Snapshots, func(s *Snapshot) bool { return s.ID == r.PathValue("snapshot") })
		if err != nil {
			return 0, nil, err
		}
		return work(s)
	}
}

func (f *Fake) createVolume(r *http.Request) (int, any, error) {
	var request godo.VolumeCreateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	switch {
	case !knownRegion(request.Region):
		return 0, nil, badRequest("region %q is not available", request.Region)
	case request.SizeGigaBytes < 1:
		return 0, nil, badRequest("size_gigabytes is invalid")
	case slices.ContainsFunc(f.account.Volumes, func(v *Volume) bool { return v.Name == request.Name && v.Region.Slug == request.Region }):
		return 0, nil, &apiError{http.StatusConflict, "conflict", "a volume with this name already exists in the region"}
	}
	now := f.options.Now().UTC()
	v := &Volume{godo.Volume{
		ID: newID(), Name: request.Name, Region: region(request.Region), SizeGigaBytes: request.SizeGigaBytes, Description: request.Description,
		FilesystemType: request.FilesystemType, FilesystemLabel: request.FilesystemLabel, Tags: request.Tags, DropletIDs: []int{}, CreatedAt: now,
	}}
	f.account.Volumes = append(f.account.Volumes, v)
	f.account.tagged(v.Tags)
	f.assignBesideCluster(v.URN(), v.Tags)
	f.account.action("create", "volume", now)
	return http.StatusCreated, map[string]any{"volume": v}, nil
}

func (f *Fake) createSnapshot(r *http.Request, v *Volume) (int, any, error) {
	var request godo.SnapshotCreateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	s := &Snapshot{godo.Snapshot{
		ID: newID(), Name: request.Name, ResourceID: v.ID, ResourceType: "volume", Regions: []string{v.Region.Slug},
		MinDiskSize: int(v.SizeGigaBytes), Created: f.options.Now().UTC().Format(time.RFC3339), Tags: request.Tags,
	}}
	f.account.Snapshots = append(f.account.Snapshots, s)
	f.account.tagged(s.Tags)
	return http.StatusCreated, map[string]any{"snapshot": s}, nil
}

// associated lists what Kubernetes made for a cluster, which DigitalOcean's
// controllers tag with the cluster's identifier.
func (f *Fake) associated(c *Cluster) *godo.KubernetesAssociatedResources {
	tag := "k8s:" + c.ID
	all := &godo.KubernetesAssociatedResources{
		Volumes: []*godo.AssociatedResource{}, VolumeSnapshots: []*godo.AssociatedResource{}, LoadBalancers: []*godo.AssociatedResource{},
	}
	for _, b := range f.account.LoadBalancers {
		if slices.Contains(b.Tags, tag) {
			all.LoadBalancers = append(all.LoadBalancers, &godo.AssociatedResource{ID: b.ID, Name: b.Name})
		}
	}
	for _, v := range f.account.Volumes {
		if slices.Contains(v.Tags, tag) {
			all.Volumes = append(all.Volumes, &godo.AssociatedResource{ID: v.ID, Name: v.Name})
		}
	}
	for _, s := range f.account.Snapshots {
		if slices.Contains(s.Tags, tag) {
			all.VolumeSnapshots = append(all.VolumeSnapshots, &godo.AssociatedResource{ID: s.ID, Name: s.Name})
		}
	}
	return all
}

// deleteAssociated deletes load balancers, volumes and snapshots.
func (f *Fake) deleteAssociated(balancers, volumes, snapshots []string) {
	for _, id := range balancers {
		f.unassign(godo.ToURN("LoadBalancer", id))
	}
	for _, id := range volumes {
		f.unassign(godo.ToURN("Volume", id))
	}
	f.account.LoadBalancers = slices.DeleteFunc(f.account.LoadBalancers, func(b *LoadBalancer) bool { return slices.Contains(balancers, b.ID) })
	f.account.Volumes = slices.DeleteFunc(f.account.Volumes, func(v *Volume) bool { return slices.Contains(volumes, v.ID) })
	f.account.Snapshots = slices.DeleteFunc(f.account.Snapshots, func(s *Snapshot) bool { return slices.Contains(snapshots, s.ID) })
}

func filter[T any](all []*T, keep func(*T) bool) []*T {
	var kept []*T
	for _, one := range all {
		if keep(one) {
			kept = append(kept, one)
		}
	}
	return kept
}
