package digitalocean

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"berth/internal/fakedo/fake"
	"berth/internal/provider"
)

// changed are the requests since a mark that changed something in the account.
func (w *world) changed(since int) []string {
	var lines []string
	for _, request := range w.do.Requests()[since:] {
		if request.Method != http.MethodGet {
			lines = append(lines, request.Method+" "+request.Path)
		}
	}
	return lines
}

func (w *world) mustInit(t *testing.T) {
	t.Helper()
	if err := w.Init(t.Context(), w.said); err != nil {
		t.Fatalf("init: %v\n%s", err, w.said)
	}
}

// wantNoChange checks that a plan finds all as it should be.
func (w *world) wantNoChange(t *testing.T) *provider.Plan {
	t.Helper()
	plan, err := w.Plan(t.Context(), w.said)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Changes) > 0 || plan.Refused != "" {
		t.Errorf("the plan is %v, refused: %q", plan.Changes, plan.Refused)
	}
	return plan
}

func TestFromNothingAndBack(t *testing.T) {
	w := start(t)
	elsewhere := w.makeOthers(t)

	plan, err := w.Plan(t.Context(), w.said)
	if err != nil {
		t.Fatalf("plan: %v\n%s", err, w.said)
	}
	if len(plan.Changes) != 6 || plan.Monthly() != 2*24+15+5 {
		t.Errorf("the plan for nothing is %v, %.2f a month", plan.Changes, plan.Monthly())
	}
	if got := w.elsewhere(t); got != elsewhere {
		t.Errorf("planning changed the account:\n%s", cmp.Diff(elsewhere, got))
	}

	w.mustInit(t)
	w.kube.deploy()
	id := w.account(t).Clusters[1].ID
	since := len(w.do.Requests())
	w.mustInit(t)
	if changed := w.changed(since); len(changed) > 0 {
		t.Errorf("a second init did %q", changed)
	}

	if err := w.Scale(t.Context(), provider.Scale{Nodes: 3}, w.said); err != nil {
		t.Fatalf("scale the count: %v\n%s", err, w.said)
	}
	w.wantShop(t, id, "s-2vcpu-4gb", 3)
	w.wantNoChange(t)

	if err := w.Scale(t.Context(), provider.Scale{Size: "s-4vcpu-8gb"}, w.said); err != nil {
		t.Fatalf("scale the size: %v\n%s", err, w.said)
	}
	w.wantShop(t, id, "s-4vcpu-8gb", 3)
	w.wantNoChange(t)
	since = len(w.do.Requests())
	w.mustInit(t)
	if changed := w.changed(since); len(changed) > 0 {
		t.Errorf("init after the scales did %q", changed)
	}

	// A pool changed by hand shows, and init changes it back.
	w.changePool(t, 5)
	if plan, err = w.Plan(t.Context(), w.said); err != nil {
		t.Fatal(err)
	}
	if len(plan.Changes) != 1 || !strings.Contains(plan.Changes[0].String(), "node_count: 5 -> 3") {
		t.Errorf("the drift shows as %v", plan.Changes)
	}
	w.mustInit(t)
	w.wantShop(t, id, "s-4vcpu-8gb", 3)

	w.makeOrphans(t, id)
	kept, err := w.Destroy(t.Context(), w.said)
	if err != nil {
		t.Fatalf("destroy: %v\n%s", err, w.said)
	}
	if len(kept) != 1 || !strings.Contains(kept[0], "Space "+w.config.DigitalOcean.Bucket) {
		t.Errorf("it keeps %q", kept)
	}
	w.wantGone(t)
	if exists, err := w.bucketExists(t.Context(), w.config.DigitalOcean.Bucket); err != nil || !exists {
		t.Errorf("the Space is gone: %v", err)
	}
	if got := w.elsewhere(t); got != elsewhere {
		t.Errorf("what is somebody else's changed:\n%s", cmp.Diff(elsewhere, got))
	}
	// Again, with nothing left: that is no error.
	if _, err := w.Destroy(t.Context(), w.said); err != nil {
		t.Errorf("destroy again: %v", err)
	}
	if _, err := w.RemoveBucket(t.Context(), w.said); err != nil {
		t.Errorf("remove the Space: %v", err)
	}
	if exists, err := w.bucketExists(t.Context(), w.config.DigitalOcean.Bucket); err != nil || exists {
		t.Errorf("the Space is still there: %v", err)
	}
}

// makeOthers fills the account with things that are not berth's.
func (w *world) makeOthers(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster, _, err := w.api.Kubernetes.Create(ctx, &godo.KubernetesClusterCreateRequest{
		Name: "others", RegionSlug: "fra1", VersionSlug: fake.Versions[0], Tags: []string{mark},
		NodePools: []*godo.KubernetesNodePoolCreateRequest{{Name: "pool", Size: "s-2vcpu-4gb", Count: 1}},
	})
	must(err)
	_, _, err = w.api.LoadBalancers.Create(ctx, &godo.LoadBalancerRequest{Name: "others-ingress", Region: "fra1", Tags: []string{clusterTag(cluster.ID)},
		ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "tcp", EntryPort: 80, TargetProtocol: "tcp", TargetPort: 80}}})
	must(err)
	_, _, err = w.api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: "pvc-others", Region: "fra1", SizeGigaBytes: 1, Tags: []string{clusterTag(cluster.ID)}})
	must(err)
	_, _, err = w.api.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "others", RegionSlug: "fra1"})
	must(err)
	// Young things change by themselves for a moment.
	time.Sleep(100 * time.Millisecond)
	return w.elsewhere(t)
}

// elsewhere describes everything in the account that is not the shop's.
func (w *world) elsewhere(t *testing.T) string {
	t.Helper()
	var lines []string
	account := w.account(t)
	for _, c := range account.Clusters {
		if c.Name != "shop" {
			lines = append(lines, fmt.Sprintf("cluster %s %s %d", c.ID, c.Status.State, len(c.NodePools[0].Nodes)))
		}
	}
	for _, v := range account.VPCs {
		if v.Name != "shop" && !v.Default {
			lines = append(lines, "network "+v.Name)
		}
	}
	for _, b := range account.LoadBalancers {
		if !strings.HasPrefix(b.Name, "shop") {
			lines = append(lines, "load balancer "+b.ID)
		}
	}
	for _, v := range account.Volumes {
		if !strings.HasPrefix(v.Name, "pvc-shop") {
			lines = append(lines, "volume "+v.ID)
		}
	}
	for _, k := range account.SpacesKeys {
		if !strings.HasPrefix(k.Name, "shop") {
			lines = append(lines, "key "+k.Name)
		}
	}
	for _, p := range account.Projects {
		if p.Name != "shop" {
			lines = append(lines, "project "+p.Name)
		}
	}
	return strings.Join(lines, "\n")
}

// shop is the shop's cluster.
func (w *world) shop(t *testing.T) *fake.Cluster {
	t.Helper()
	for _, c := range w.account(t).Clusters {
		if c.Name == "shop" && c.Deleted == nil {
			return c
		}
	}
	t.Fatal("there is no cluster shop")
	return nil
}

func (w *world) wantShop(t *testing.T, id, size string, nodes int) {
	t.Helper()
	c := w.shop(t)
	if c.ID != id {
		t.Error("the cluster was replaced")
	}
	if len(c.NodePools) != 1 || c.NodePools[0].Size != size || c.NodePools[0].Count != nodes {
		t.Errorf("the pools are %+v, want %d × %s", c.NodePools, nodes, size)
	}
	if w.kube.fewest < replicas-1 {
		t.Errorf("only %d pods were ready at a time, although the budget keeps %d", w.kube.fewest, replicas-1)
	}
}

func (w *world) changePool(t *testing.T, count int) {
	t.Helper()
	c := w.shop(t)
	pool := c.NodePools[0]
	if _, _, err := w.api.Kubernetes.UpdateNodePool(t.Context(), c.ID, pool.ID, &godo.KubernetesNodePoolUpdateRequest{Name: pool.Name, Count: &count, Tags: pool.Tags}); err != nil {
		t.Fatal(err)
	}
}

// makeOrphans makes what Kubernetes would for the cluster: a load balancer, and
// a volume that is attached to nothing.
func (w *world) makeOrphans(t *testing.T, cluster string) {
	t.Helper()
	_, _, err := w.api.LoadBalancers.Create(t.Context(), &godo.LoadBalancerRequest{Name: w.ingressName(), Region: "fra1", Tags: []string{clusterTag(cluster)},
		VPCUUID: w.shop(t).VPCUUID, ForwardingRules: []godo.ForwardingRule{{EntryProtocol: "tcp", EntryPort: 80, TargetProtocol: "tcp", TargetPort: 80}}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.api.Storage.CreateVolume(t.Context(), &godo.VolumeCreateRequest{Name: "pvc-shop", Region: "fra1", SizeGigaBytes: 5, Tags: []string{clusterTag(cluster)}})
	if err != nil {
		t.Fatal(err)
	}
}

// wantGone checks that nothing of the shop's is left but its Space.
func (w *world) wantGone(t *testing.T) {
	t.Helper()
	account := w.account(t)
	for _, c := range account.Clusters {
		if c.Name == "shop" && c.Deleted == nil {
			t.Error("the cluster is left")
		}
	}
	for _, v := range account.VPCs {
		if v.Name == "shop" {
			t.Error("the network is left")
		}
	}
	for _, b := range account.LoadBalancers {
		if strings.HasPrefix(b.Name, "shop") {
			t.Error("the load balancer is left")
		}
	}
	for _, v := range account.Volumes {
		if strings.HasPrefix(v.Name, "pvc-shop") {
			t.Error("the volume is left")
		}
	}
	for _, k := range account.SpacesKeys {
		if k.Name == "shop-cluster" {
			t.Error("the Space's key is left")
		}
	}
	for _, p := range account.Projects {
		if p.Name == "shop" {
			t.Error("the project is left")
		}
	}
}
