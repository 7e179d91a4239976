package fake

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
)

// UnmarshalJSON reads a cluster in any state: godo's own type knows not all.
func (c *Cluster) UnmarshalJSON(data []byte) error {
	type cluster Cluster
	read := struct {
		*cluster
		Status *struct{ State, Message string } `json:"status"`
	}{cluster: (*cluster)(c)}
	if err := json.Unmarshal(data, &read); err != nil || read.Status == nil {
		return err
	}
	c.Status = &godo.KubernetesClusterStatus{State: godo.KubernetesClusterStatusState(read.Status.State), Message: read.Status.Message}
	return nil
}

var clusterName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*[a-z0-9]$`)

func (f *Fake) routeKubernetes() {
	const clusters = "/v2/kubernetes/clusters"
	const single = clusters + "/{cluster}"

	f.handle("GET "+clusters, list("kubernetes_clusters", func(*http.Request) []*godo.KubernetesCluster {
		var all []*godo.KubernetesCluster
		for _, c := range f.account.Clusters {
			all = append(all, &c.KubernetesCluster)
		}
		return all
	}))
	f.handle("POST "+clusters, f.createCluster)
	f.handle("GET "+single, f.withCluster(func(_ *http.Request, c *Cluster) (int, any, error) {
		return http.StatusOK, map[string]any{"kubernetes_cluster": c.KubernetesCluster}, nil
	}))
	f.handle("PUT "+single, f.withCluster(f.updateCluster))
	f.handle("DELETE "+single, f.withCluster(func(_ *http.Request, c *Cluster) (int, any, error) {
		f.deleteCluster(c)
		return http.StatusNoContent, nil, nil
	}))
	f.handle("GET "+single+"/user", f.withCluster(func(*http.Request, *Cluster) (int, any, error) {
		return http.StatusOK, map[string]any{"kubernetes_cluster_user": godo.KubernetesClusterUser{
			Username: "owner@example.com", Groups: []string{"k8saas:authenticated"},
		}}, nil
	}))
	f.handle("GET "+single+"/upgrades", f.withCluster(func(_ *http.Request, c *Cluster) (int, any, error) {
		newer := []*godo.KubernetesVersion{}
		for _, version := range f.options.Versions {
			if version == c.VersionSlug {
				break
			}
			newer = append(newer, kubernetesVersion(version))
		}
		return http.StatusOK, map[string]any{"available_upgrade_versions": newer}, nil
	}))
	f.handle("POST "+single+"/upgrade", f.withCluster(f.upgradeCluster))
	f.handle("GET "+single+"/credentials", f.withCluster(f.credentials))
	f.handle("GET "+single+"/kubeconfig", f.withCluster(f.kubeconfig))

	const associated = single + "/destroy_with_associated_resources"
	f.handle("GET "+associated, f.withCluster(func(_ *http.Request, c *Cluster) (int, any, error) {
		return http.StatusOK, f.associated(c), nil
	}))
	f.handle("DELETE "+associated+"/selective", f.withCluster(func(r *http.Request, c *Cluster) (int, any, error) {
		var request godo.KubernetesClusterDeleteSelectiveRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		known := f.associated(c)
		for _, pair := range []struct {
			asked []string
			known []*godo.AssociatedResource
		}{{request.LoadBalancers, known.LoadBalancers}, {request.Volumes, known.Volumes}, {request.VolumeSnapshots, known.VolumeSnapshots}} {
			for _, id := range pair.asked {
				if !slices.ContainsFunc(pair.known, func(a *godo.AssociatedResource) bool { return a.ID == id }) {
					return 0, nil, unprocessable("resource %s is not associated with the cluster", id)
				}
			}
		}
		f.deleteAssociated(request.LoadBalancers, request.Volumes, request.VolumeSnapshots)
		f.deleteCluster(c)
		return http.StatusNoContent, nil, nil
	}))
	f.handle("DELETE "+associated+"/dangerous", f.withCluster(func(_ *http.Request, c *Cluster) (int, any, error) {
		known := f.associated(c)
		f.deleteAssociated(ids(known.LoadBalancers), ids(known.Volumes), ids(known.VolumeSnapshots))
		f.deleteCluster(c)
		return http.StatusNoContent, nil, nil
	}))
}

func (f *Fake) createCluster(r *http.Request) (int, any, error) {
	var request godo.KubernetesClusterCreateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	version := request.VersionSlug
	if version == "latest" {
		version = f.options.Versions[0]
	}
	switch {
	case !clusterName.MatchString(request.Name):
		return 0, nil, unprocessable("validation error: name is invalid")
	case slices.ContainsFunc(f.account.Clusters, func(c *Cluster) bool { return c.Name == request.Name }):
		return 0, nil, unprocessable("a cluster with this name already exists")
	case !knownRegion(request.RegionSlug):
		return 0, nil, unprocessable("validation error: region %q is not available", request.RegionSlug)
	case !slices.Contains(f.options.Versions, version):
		return 0, nil, unprocessable("validation error: invalid version slug")
	case len(request.NodePools) == 0:
		return 0, nil, unprocessable("validation error: at least one node pool is required")
	case request.VPCUUID != "" && !slices.ContainsFunc(f.account.VPCs, func(v *godo.VPC) bool { return v.ID == request.VPCUUID && v.RegionSlug == request.RegionSlug }):
		return 0, nil, unprocessable("validation error: the VPC is not in the cluster's region")
	}
	now := f.options.Now().UTC()
	id := newID()
	c := &Cluster{Changed: now, KubernetesCluster: godo.KubernetesCluster{
		ID: id, Name: request.Name, RegionSlug: request.RegionSlug, VersionSlug: version,
		ClusterSubnet: orElse(request.ClusterSubnet, "10.108.0.0/16"), ServiceSubnet: orElse(request.ServiceSubnet, "10.109.0.0/19"),
		Endpoint: "https://" + id + ".k8s.ondigitalocean.com", IPv4: documentationAddress(id),
		Tags:    append([]string{"k8s", "k8s:" + id}, request.Tags...),
		VPCUUID: request.VPCUUID,
		// From 1.36 on a control plane is highly available unless told otherwise.
		HA:                request.HA == nil && minor(version) >= 36 || request.HA != nil && *request.HA,
		MaintenancePolicy: maintenance(request.MaintenancePolicy), AutoUpgrade: request.AutoUpgrade, SurgeUpgrade: request.SurgeUpgrade,
		ControlPlaneFirewall: request.ControlPlaneFirewall, ClusterAutoscalerConfiguration: request.ClusterAutoscalerConfiguration,
		RoutingAgent: request.RoutingAgent,
		Status:       &godo.KubernetesClusterStatus{State: godo.KubernetesClusterStatusProvisioning},
		CreatedAt:    now, UpdatedAt: now,
	}}
	for _, pool := range request.NodePools {
		if _, err := f.addPool(r.Context(), c, pool); err != nil {
			return 0, nil, err
		}
	}
	f.account.Clusters = append(f.account.Clusters, c)
	f.account.tagged(c.Tags)
	f.assignToDefault(c.URN())
	f.account.action("create", "kubernetes", now)
	c.advance(f.options.Now(), f.options.Delay)
	young := c.KubernetesCluster
	if young.Status.State == godo.KubernetesClusterStatusProvisioning {
		// Where it is shows later.
		young.Endpoint, young.IPv4 = "", ""
	}
	young.NodePools = nil
	for _, pool := range c.NodePools {
		young.NodePools = append(young.NodePools, nameless(pool))
	}
	return http.StatusCreated, map[string]any{"kubernetes_cluster": young}, nil
}

func (f *Fake) updateCluster(r *http.Request, c *Cluster) (int, any, error) {
	var request godo.KubernetesClusterUpdateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	if request.HA != nil && c.HA && !*request.HA {
		return 0, nil, unprocessable("high availability cannot be disabled")
	}
	now := f.options.Now().UTC()
	c.Name = orElse(request.Name, c.Name)
	if request.Tags != nil {
		c.Tags = append([]string{"k8s", "k8s:" + c.ID}, slices.DeleteFunc(request.Tags, isOwnTag)...)
		f.account.tagged(c.Tags)
	}
	if request.MaintenancePolicy != nil {
		c.MaintenancePolicy = maintenance(request.MaintenancePolicy)
	}
	if request.AutoUpgrade != nil {
		c.AutoUpgrade = *request.AutoUpgrade
	}
	c.SurgeUpgrade = c.SurgeUpgrade || request.SurgeUpgrade
	c.HA = c.HA || request.HA != nil && *request.HA
	c.UpdatedAt = now
	return http.StatusAccepted, map[string]any{"kubernetes_cluster": c.KubernetesCluster}, nil
}

func (f *Fake) upgradeCluster(r *http.Request, c *Cluster) (int, any, error) {
	var request godo.KubernetesClusterUpgradeRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	// The list is newest first.
	to, from := slices.Index(f.options.Versions, request.VersionSlug), slices.Index(f.options.Versions, c.VersionSlug)
	if to < 0 || from >= 0 && to >= from {
		return 0, nil, unprocessable("validation error: the cluster cannot be upgraded to %q", request.VersionSlug)
	}
	c.VersionSlug = request.VersionSlug
	c.Changed = f.options.Now().UTC()
	c.Status.State = godo.KubernetesClusterStatusUpgrading
	return http.StatusAccepted, nil, nil
}

// deleting is a state that godo has no name for.
const deleting = godo.KubernetesClusterStatusState("deleting")

// deleteCluster deletes a cluster as the API does: in its own time, together with
// its nodes. What Kubernetes made stays behind.
func (f *Fake) deleteCluster(c *Cluster) {
	if c.Deleted != nil {
		return
	}
	now := f.options.Now().UTC()
	c.Deleted, c.Status.State = &now, deleting
	f.unassign(c.URN())
	f.account.action("destroy", "kubernetes", now)
}

// maintenance is the window that the API makes of a request's.
func maintenance(asked *godo.KubernetesMaintenancePolicy) *godo.KubernetesMaintenancePolicy {
	policy := godo.KubernetesMaintenancePolicy{StartTime: "00:00", Duration: "4h0m0s"}
	if asked != nil {
		policy.Day, policy.StartTime = asked.Day, orElse(asked.StartTime, policy.StartTime)
	}
	return &policy
}

func minor(version string) int {
	n := 0
	if parts := strings.SplitN(version, ".", 3); len(parts) > 1 {
		for _, digit := range parts[1] {
			n = n*10 + int(digit-'0')
		}
	}
	return n
}

func ids(resources []*godo.AssociatedResource) []string {
	var all []string
	for _, resource := range resources {
		all = append(all, resource.ID)
	}
	return all
}
