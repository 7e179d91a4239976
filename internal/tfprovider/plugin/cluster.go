package plugin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"github.com/hashicorp/go-version"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"sigs.k8s.io/yaml"
)

// defaultPoolTag marks the node pool that a cluster's resource looks after.
const defaultPoolTag = "terraform:default-node-pool"

func clusterResource() *resource {
	return &resource{
		forceNew: []string{
			"region", "vpc_uuid", "cluster_subnet", "service_subnet", "worker_subnet_uuid", "isolated_workers", "node_pool.0.size",
		},
		replaces: replacesCluster,
		suppress: func(prior, planned object) { suppressPool(prior.one("node_pool"), planned.one("node_pool")) },
		defaults: map[string]any{
			"surge_upgrade": true, "registry_integration": false, "destroy_all_associated_resources": false, "node_pool.auto_scale": false,
		},
		computedBlocks: []string{
			"maintenance_policy", "control_plane_firewall", "routing_agent", "amd_gpu_device_plugin", "amd_gpu_device_metrics_exporter_plugin",
			"amd_gpu_dra_driver", "nvidia_gpu_device_plugin", "nvidia_gpu_dra_driver", "rdma_shared_device_plugin", "coredns_autoscaler",
			"p2p_oci_registry_plugin", "sso",
		},
		create: createCluster, read: readCluster, update: updateCluster, remove: removeCluster, imported: importCluster,
	}
}

// replacesCluster finds a version that is lower than the running one: a cluster
// cannot go back.
func replacesCluster(prior, planned object) []*tftypes.AttributePath {
	before, errBefore := version.NewVersion(prior.text("version"))
	after, errAfter := version.NewVersion(planned.text("version"))
	if errBefore != nil || errAfter != nil || !after.LessThan(before) {
		return nil
	}
	return []*tftypes.AttributePath{tftypes.NewAttributePath().WithAttributeName("version")}
}

func createCluster(ctx context.Context, c *clients, planned object) (object, error) {
	pool := planned.one("node_pool")
	request := &godo.KubernetesClusterCreateRequest{
		Name: planned.text("name"), RegionSlug: planned.text("region"), VersionSlug: planned.text("version"),
		SurgeUpgrade: planned.flag("surge_upgrade"), AutoUpgrade: planned.flag("auto_upgrade"), Tags: planned.texts("tags"),
		VPCUUID: planned.text("vpc_uuid"), ClusterSubnet: planned.text("cluster_subnet"), ServiceSubnet: planned.text("service_subnet"),
		IsolatedWorkers: planned.flag("isolated_workers"), NodePools: []*godo.KubernetesNodePoolCreateRequest{poolRequest(pool, defaultPoolTag)},
	}
	if ha, ok := planned["ha"].(bool); ok {
		request.HA = &ha
	}
	var err error
	if request.MaintenancePolicy, err = maintenancePolicy(planned); err != nil {
		return nil, err
	}
	cluster, _, err := c.api.Kubernetes.Create(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("error creating Kubernetes cluster: %w", err)
	}
	// From here on an error leaves the cluster where nothing knows of it.
	err = wait(ctx, planned, "create", 30*time.Minute, func() (bool, error) {
		got, _, err := c.api.Kubernetes.Get(ctx, cluster.ID)
		if err != nil {
			return false, fmt.Errorf("error trying to read cluster state: %w", err)
		}
		if got.Status.State == godo.KubernetesClusterStatusError {
			return false, errors.New(got.Status.Message)
		}
		return got.Status.State == godo.KubernetesClusterStatusRunning, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.New("error creating Kubernetes cluster: Timeout waiting to create cluster")
	}
	if err != nil {
		return nil, fmt.Errorf("error creating Kubernetes cluster: %w", err)
	}
	planned["id"] = cluster.ID
	if planned.flag("registry_integration") {
		if _, err := c.api.Kubernetes.AddRegistry(ctx, &godo.KubernetesClusterRegistryRequest{ClusterUUIDs: []string{cluster.ID}}); err != nil {
			return planned, fmt.Errorf("error enabling registry integration: %w", err)
		}
	}
	return readCluster(ctx, c, settle(planned))
}

func readCluster(ctx context.Context, c *clients, state object) (object, error) {
	cluster, _, err := c.api.Kubernetes.Get(ctx, state.text("id"))
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("error retrieving Kubernetes cluster: %w", err)
	}
	for name, value := range map[string]any{
		"name": cluster.Name, "region": cluster.RegionSlug, "version": cluster.VersionSlug, "surge_upgrade": cluster.SurgeUpgrade,
		"ha": cluster.HA, "cluster_subnet": cluster.ClusterSubnet, "service_subnet": cluster.ServiceSubnet, "ipv4_address": cluster.IPv4,
		"endpoint": cluster.Endpoint, "tags": list(ownTags(cluster.Tags)), "status": string(cluster.Status.State),
		"created_at": stamp(cluster.CreatedAt), "updated_at": stamp(cluster.UpdatedAt), "vpc_uuid": cluster.VPCUUID,
		"worker_subnet_uuid": cluster.WorkerSubnetUUID, "auto_upgrade": cluster.AutoUpgrade, "isolated_workers": cluster.IsolatedWorkers,
		"urn": cluster.URN(),
	} {
		state[name] = value
	}
	if p := cluster.MaintenancePolicy; p != nil {
		state["maintenance_policy"] = []any{object{"day": p.Day.String(), "duration": p.Duration, "start_time": p.StartTime}}
	}
	for i, pool := range cluster.NodePools {
		if !slices.Contains(pool.Tags, defaultPoolTag) {
			continue
		}
		read := poolState(pool)
		// The real plugin looks for the count under the pool's place in the
		// API's list, where the state has one pool alone.
		if i == 0 && state.one("node_pool").number("node_count") != 0 {
			read["node_count"] = float64(pool.Count)
		}
		state["node_pool"] = []any{read}
	}
	if state["node_pool"] == nil {
		state["node_pool"] = []any{}
	}
	return state, refreshCredentials(ctx, c, cluster, state)
}

// refreshCredentials fetches new ones where those of the state are over.
func refreshCredentials(ctx context.Context, c *clients, cluster *godo.KubernetesCluster, state object) error {
	if known := state.one("kube_config"); known != nil {
		expires, err := time.Parse(time.RFC3339, known.text("expires_at"))
		if err != nil {
			return fmt.Errorf("unable to parse Kubernetes credentials expiry: %w", err)
		}
		if expires.After(time.Now()) {
			return nil
		}
	}
	seconds := state.number("kubeconfig_expire_seconds")
	got, _, err := c.api.Kubernetes.GetCredentials(ctx, cluster.ID, &godo.KubernetesClusterCredentialsGetRequest{ExpirySeconds: &seconds})
	if err != nil {
		return fmt.Errorf("unable to fetch Kubernetes credentials: %w", err)
	}
	name := fmt.Sprintf("do-%s-%s", cluster.RegionSlug, cluster.Name)
	ca := base64.StdEncoding.EncodeToString(got.CertificateAuthorityData)
	raw, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{"server": got.Server, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": name + "-admin", "user": map[string]any{"token": got.Token}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name + "-admin"}}},
	})
	if err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	state["kube_config"] = []any{object{
		"host": got.Server, "token": got.Token, "cluster_ca_certificate": ca, "raw_config": string(raw),
		"client_certificate": string(got.ClientCertificateData), "client_key": string(got.ClientKeyData),
		"expires_at": got.ExpiresAt.Format(time.RFC3339),
	}}
	return nil
}

func updateCluster(ctx context.Context, c *clients, prior, planned object) (object, error) {
	id := prior.text("id")
	if changed(prior, planned, "name", "tags", "auto_upgrade", "surge_upgrade", "maintenance_policy", "ha") {
		request := &godo.KubernetesClusterUpdateRequest{
			Name: planned.text("name"), Tags: planned.texts("tags"), SurgeUpgrade: planned.flag("surge_upgrade"),
			AutoUpgrade: godo.PtrTo(planned.flag("auto_upgrade")), HA: godo.PtrTo(planned.flag("ha")),
		}
		var err error
		if request.MaintenancePolicy, err = maintenancePolicy(planned); err != nil {
			return nil, err
		}
		if _, _, err := c.api.Kubernetes.Update(ctx, id, request); err != nil {
			return nil, fmt.Errorf("unable to update cluster: %w", err)
		}
	}
	if changed(prior, planned, "node_pool") {
		if err := updatePool(ctx, c, planned, id, prior.one("node_pool").text("id"), planned.one("node_pool"), defaultPoolTag); err != nil {
			return nil, err
		}
	}
	if changed(prior, planned, "version") {
		if _, err := c.api.Kubernetes.Upgrade(ctx, id, &godo.KubernetesClusterUpgradeRequest{VersionSlug: planned.text("version")}); err != nil {
			return nil, fmt.Errorf("unable to upgrade cluster version: %w", err)
		}
	}
	if changed(prior, planned, "registry_integration") && planned.flag("registry_integration") != prior.flag("registry_integration") {
		change := c.api.Kubernetes.RemoveRegistry
		if planned.flag("registry_integration") {
			change = c.api.Kubernetes.AddRegistry
		}
		if _, err := change(ctx, &godo.KubernetesClusterRegistryRequest{ClusterUUIDs: []string{id}}); err != nil {
			return nil, fmt.Errorf("error changing registry integration: %w", err)
		}
	}
	return readCluster(ctx, c, settle(planned))
}

// removeCluster goes by what the state says of associated resources, and waits
// for nothing.
func removeCluster(ctx context.Context, c *clients, state object) error {
	remove := c.api.Kubernetes.Delete
	if state.flag("destroy_all_associated_resources") {
		remove = c.api.Kubernetes.DeleteDangerous
	}
	if _, err := remove(ctx, state.text("id")); err != nil && !gone(err) {
		return fmt.Errorf("unable to delete cluster: %w", err)
	}
	return nil
}

// importCluster sees to it that one pool, and one alone, is the default one.
func importCluster(ctx context.Context, c *clients, id string) (object, error) {
	cluster, _, err := c.api.Kubernetes.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	var tagged int
	for _, pool := range cluster.NodePools {
		if slices.Contains(pool.Tags, defaultPoolTag) {
			tagged++
		}
	}
	switch {
	case tagged > 1:
		return nil, fmt.Errorf("multiple node pools are tagged as the default node pool; only one node pool may have the `%s` tag", defaultPoolTag)
	case tagged == 0 && len(cluster.NodePools) > 1:
		return nil, fmt.Errorf("cluster contains multiple node pools. Manually add the `%s` tag to the pool that should be used as the default", defaultPoolTag)
	case tagged == 0:
		pool := cluster.NodePools[0]
		if _, _, err := c.api.Kubernetes.UpdateNodePool(ctx, id, pool.ID, &godo.KubernetesNodePoolUpdateRequest{Tags: append(pool.Tags, defaultPoolTag)}); err != nil {
			return nil, err
		}
	}
	return object{"id": id}, nil
}

func maintenancePolicy(o object) (*godo.KubernetesMaintenancePolicy, error) {
	policy := o.one("maintenance_policy")
	if policy == nil {
		return nil, nil
	}
	day, err := godo.KubernetesMaintenanceToDay(orElse(policy.text("day"), "any"))
	if err != nil {
		return nil, fmt.Errorf("error setting Kubernetes maintenance policy : %w", err)
	}
	return &godo.KubernetesMaintenancePolicy{Day: day, StartTime: policy.text("start_time")}, nil
}

func orElse(value, standard string) string {
	if value == "" {
		return standard
	}
	return value
}

// readVersions is the data source digitalocean_kubernetes_versions.
func readVersions(ctx context.Context, c *clients, config object) (object, error) {
	options, _, err := c.api.Kubernetes.GetOptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("error retrieving Kubernetes options: %w", err)
	}
	var valid []string
	for _, offered := range options.Versions {
		if strings.HasPrefix(offered.Slug, config.text("version_prefix")) {
			valid = append(valid, offered.Slug)
		}
	}
	config["id"] = fmt.Sprintf("terraform-%d", time.Now().UnixNano())
	config["valid_versions"] = list(valid)
	if len(valid) > 0 {
		config["latest_version"] = valid[0]
	}
	return config, nil
}
