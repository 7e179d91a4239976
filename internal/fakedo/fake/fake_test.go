package fake_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/oauth2"

	"berth/internal/fakedo/fake"
)

// client is DigitalOcean's own client of the API, on the fake.
func client(t *testing.T, url, token string) *godo.Client {
	t.Helper()
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
	c, err := godo.New(oauth2.NewClient(context.Background(), source), godo.SetBaseURL(url+"/"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clock is one that stands still until it is told to go on.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newClock() *clock { return &clock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func clusterRequest(vpc string) *godo.KubernetesClusterCreateRequest {
	return &godo.KubernetesClusterCreateRequest{
		Name: "berth", RegionSlug: "fra1", VersionSlug: "1.36.2-do.0", VPCUUID: vpc,
		NodePools: []*godo.KubernetesNodePoolCreateRequest{{Name: "first", Size: "s-2vcpu-4gb", Count: 2}},
	}
}

// must fails the test for an error of the API.
func must[T any](t *testing.T) func(T, *godo.Response, error) T {
	return func(value T, _ *godo.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	var response *godo.ErrorResponse
	if !errors.As(err, &response) || response.Response.StatusCode != status {
		t.Errorf("the error is %v, not one of status %d", err, status)
	}
}

func TestClusterLife(t *testing.T) {
	clock := newClock()
	server := fake.Start(t, fake.Options{Delay: 4 * time.Minute, Now: clock.Now})
	api, ctx := client(t, server.URL, "token"), t.Context()

	vpc := must[*godo.VPC](t)(api.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "berth", RegionSlug: "fra1"}))
	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, clusterRequest(vpc.ID)))
	if cluster.Status.State != godo.KubernetesClusterStatusProvisioning {
		t.Errorf("a new cluster is %s", cluster.Status.State)
	}
	if cluster.Endpoint != "" || cluster.IPv4 != "" || cluster.NodePools[0].Nodes[0].Name != "" {
		t.Errorf("a new cluster has an address already, or its nodes names: %+v", cluster)
	}
	if !cluster.HA {
		t.Error("a cluster of Kubernetes 1.36 that says nothing about it is not highly available")
	}
	_, _, err := api.Kubernetes.GetCredentials(ctx, cluster.ID, nil)
	wantStatus(t, err, http.StatusPreconditionFailed)
	_, _, err = api.Kubernetes.Create(ctx, clusterRequest(vpc.ID))
	wantStatus(t, err, http.StatusUnprocessableEntity)

	clock.now = clock.now.Add(4 * time.Minute)
	cluster = must[*godo.KubernetesCluster](t)(api.Kubernetes.Get(ctx, cluster.ID))
	if cluster.Status.State != godo.KubernetesClusterStatusRunning {
		t.Errorf("after its time the cluster is %s", cluster.Status.State)
	}
	for _, node := range cluster.NodePools[0].Nodes {
		if node.Status.State != "running" || !strings.HasPrefix(node.Name, "first-") {
			t.Errorf("a node is %+v", node)
		}
	}
	config := must[*godo.KubernetesClusterConfig](t)(api.Kubernetes.GetKubeConfig(ctx, cluster.ID, nil))
	if !strings.Contains(string(config.KubeconfigYAML), "current-context: do-fra1-berth") {
		t.Errorf("the kubeconfig is\n%s", config.KubeconfigYAML)
	}

	// Another pool takes over, and the first one goes.
	second := must[*godo.KubernetesNodePool](t)(api.Kubernetes.CreateNodePool(ctx, cluster.ID,
		&godo.KubernetesNodePoolCreateRequest{Name: "second", Size: "s-4vcpu-8gb", Count: 1, Tags: []string{"terraform:default-node-pool"}}))
	if !slices.Contains(second.Tags, "terraform:default-node-pool") || second.Nodes[0].Status.State != "provisioning" || second.Nodes[0].Name != "" {
		t.Errorf("the second pool is %+v", second)
	}
	if resp, err := api.Kubernetes.DeleteNodePool(ctx, cluster.ID, cluster.NodePools[0].ID); err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("deleting a pool answers %v, %v", resp, err)
	}
	_, err = api.Kubernetes.DeleteNodePool(ctx, cluster.ID, second.ID)
	wantStatus(t, err, http.StatusUnprocessableEntity)

	// A deleted cluster shows as one for a while, in a state that makes godo refuse
	// the whole answer. Its network stays occupied.
	if resp, err := api.Kubernetes.Delete(ctx, cluster.ID); err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("deleting a cluster answers %v, %v", resp, err)
	}
	if _, _, err = api.Kubernetes.List(ctx, nil); err == nil || !strings.Contains(err.Error(), `unknown cluster state "deleting"`) {
		t.Errorf("the list is %v", err)
	}
	_, _, err = api.Kubernetes.GetCredentials(ctx, cluster.ID, nil)
	wantStatus(t, err, http.StatusPreconditionFailed)
	_, _, err = api.Kubernetes.Create(ctx, clusterRequest(vpc.ID)) // its name is taken
	wantStatus(t, err, http.StatusUnprocessableEntity)
	_, err = api.VPCs.Delete(ctx, vpc.ID)
	wantStatus(t, err, http.StatusForbidden)
	clock.now = clock.now.Add(4 * time.Minute)
	_, _, err = api.Kubernetes.Get(ctx, cluster.ID)
	wantStatus(t, err, http.StatusNotFound)
	if _, err = api.VPCs.Delete(ctx, vpc.ID); err != nil {
		t.Error(err)
	}
}

func TestNodePoolCountsAndNodes(t *testing.T) {
	server := fake.Start(t, fake.Options{NodeNames: func(context.Context) ([]string, error) { return []string{"real-1", "real-2"}, nil }})
	api, ctx := client(t, server.URL, "token"), t.Context()
	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, clusterRequest("")))
	pool := must[*godo.KubernetesNodePool](t)(api.Kubernetes.GetNodePool(ctx, cluster.ID, cluster.NodePools[0].ID))
	if pool.Nodes[0].Name != "real-1" || pool.Nodes[1].Name != "real-2" {
		t.Errorf("the nodes are %s and %s, not named after the real ones", pool.Nodes[0].Name, pool.Nodes[1].Name)
	}
	pool = must[*godo.KubernetesNodePool](t)(api.Kubernetes.UpdateNodePool(ctx, cluster.ID, pool.ID, &godo.KubernetesNodePoolUpdateRequest{Count: godo.PtrTo(3)}))
	if pool.Count != 3 || len(pool.Nodes) != 3 || !strings.HasPrefix(pool.Nodes[2].Name, "first-") {
		t.Errorf("a third node made the pool %+v", pool)
	}
	_, err := api.Kubernetes.DeleteNode(ctx, cluster.ID, pool.ID, pool.Nodes[0].ID, &godo.KubernetesNodeDeleteRequest{Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	pool = must[*godo.KubernetesNodePool](t)(api.Kubernetes.GetNodePool(ctx, cluster.ID, pool.ID))
	if pool.Count != 3 || len(pool.Nodes) != 3 {
		t.Errorf("replacing a node made the pool %+v", pool)
	}
	if _, err := api.Kubernetes.DeleteNode(ctx, cluster.ID, pool.ID, pool.Nodes[0].ID, nil); err != nil {
		t.Fatal(err)
	}
	pool = must[*godo.KubernetesNodePool](t)(api.Kubernetes.GetNodePool(ctx, cluster.ID, pool.ID))
	if pool.Count != 2 || len(pool.Nodes) != 2 {
		t.Errorf("deleting a node made the pool %+v", pool)
	}
}

func TestVersions(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	request := clusterRequest("")
	request.VersionSlug, request.HA = "1.35.6-do.0", godo.PtrTo(false)
	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, request))
	if cluster.HA {
		t.Error("the control plane is highly available against the request")
	}
	newer := must[[]*godo.KubernetesVersion](t)(api.Kubernetes.GetUpgrades(ctx, cluster.ID))
	if len(newer) != 2 || newer[0].Slug != "1.36.2-do.0" {
		t.Errorf("it can be upgraded to %v", newer)
	}
	if _, err := api.Kubernetes.Upgrade(ctx, cluster.ID, &godo.KubernetesClusterUpgradeRequest{VersionSlug: newer[0].Slug}); err != nil {
		t.Fatal(err)
	}
	_, err := api.Kubernetes.Upgrade(ctx, cluster.ID, &godo.KubernetesClusterUpgradeRequest{VersionSlug: "1.35.6-do.0"})
	wantStatus(t, err, http.StatusUnprocessableEntity)
}

func TestAssociatedResources(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, clusterRequest("")))
	tag := "k8s:" + cluster.ID

	volume := func(name string, tags ...string) *godo.Volume {
		return must[*godo.Volume](t)(api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: name, Region: "fra1", SizeGigaBytes: 5, Tags: tags}))
	}
	own, kept, foreign := volume("own", tag), volume("kept", tag), volume("foreign")
	balancer := must[*godo.LoadBalancer](t)(api.LoadBalancers.Create(ctx, &godo.LoadBalancerRequest{
		Name: "ingress", Region: "fra1", Tags: []string{tag}, ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "tcp", EntryPort: 443, TargetProtocol: "tcp", TargetPort: 30443}},
	}))
	if balancer.Type != godo.LoadBalancerTypeRegional || balancer.Status != "active" || balancer.IP == "" {
		t.Errorf("the load balancer is %+v", balancer)
	}
	must[*godo.Snapshot](t)(api.Storage.CreateSnapshot(ctx, &godo.SnapshotCreateRequest{VolumeID: own.ID, Name: "before", Tags: []string{tag}}))

	all := must[*godo.KubernetesAssociatedResources](t)(api.Kubernetes.ListAssociatedResourcesForDeletion(ctx, cluster.ID))
	if len(all.Volumes) != 2 || len(all.LoadBalancers) != 1 || len(all.VolumeSnapshots) != 1 {
		t.Errorf("associated are %+v", all)
	}
	_, err := api.Kubernetes.DeleteSelective(ctx, cluster.ID, &godo.KubernetesClusterDeleteSelectiveRequest{Volumes: []string{foreign.ID}})
	wantStatus(t, err, http.StatusUnprocessableEntity)
	if _, err := api.Kubernetes.DeleteSelective(ctx, cluster.ID, &godo.KubernetesClusterDeleteSelectiveRequest{
		Volumes: []string{own.ID}, LoadBalancers: []string{balancer.ID},
	}); err != nil {
		t.Fatal(err)
	}
	account, err := server.Account()
	if err != nil {
		t.Fatal(err)
	}
	if len(account.Volumes) != 2 || account.Volumes[0].ID != kept.ID || len(account.LoadBalancers) != 0 || len(account.Snapshots) != 1 {
		t.Errorf("left over are %d volumes, %d load balancers, %d snapshots", len(account.Volumes), len(account.LoadBalancers), len(account.Snapshots))
	}
}

func TestPages(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		must[*godo.Volume](t)(api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: name, Region: "fra1", SizeGigaBytes: 1}))
	}
	var names []string
	options := &godo.ListOptions{PerPage: 2}
	for pages := 1; ; pages++ {
		volumes, response, err := api.Storage.ListVolumes(ctx, &godo.ListVolumeParams{ListOptions: options})
		if err != nil {
			t.Fatal(err)
		}
		if response.Meta.Total != 5 {
			t.Errorf("page %d says that there are %d", pages, response.Meta.Total)
		}
		for _, volume := range volumes {
			names = append(names, volume.Name)
		}
		if response.Links.IsLastPage() {
			if pages != 3 {
				t.Errorf("there were %d pages", pages)
			}
			break
		}
		current, err := response.Links.CurrentPage()
		if err != nil {
			t.Fatal(err)
		}
		options.Page = current + 1
	}
	if strings.Join(names, "") != "abcde" {
		t.Errorf("the pages together are %v", names)
	}
	// An empty list is a list, not null.
	domains := must[[]godo.Domain](t)(api.Domains.List(ctx, nil))
	if domains == nil {
		t.Error("no domains are null")
	}
}

func TestStateOutlivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "account.json")
	before := fake.Start(t, fake.Options{StateFile: file})
	cluster := must[*godo.KubernetesCluster](t)(client(t, before.URL, "token").Kubernetes.Create(t.Context(), clusterRequest("")))
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the state file has mode %o", info.Mode().Perm())
	}
	after := fake.Start(t, fake.Options{StateFile: file})
	found := must[*godo.KubernetesCluster](t)(client(t, after.URL, "token").Kubernetes.Get(t.Context(), cluster.ID))
	if found.Name != "berth" || len(found.NodePools[0].Nodes) != 2 {
		t.Errorf("after the restart the cluster is %+v", found)
	}
}
