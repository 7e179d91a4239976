package digitalocean

import (
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"berth/internal/fakedo/fake"
	"berth/internal/provider"
)

// wantPool checks that the cluster has one node pool, of this size and count,
// which is Terraform's, that all pods run on it, and that none was missed
// beyond what the disruption budget allows.
func (w *world) wantPool(t *testing.T, size string, count int) {
	t.Helper()
	clusters := w.account(t).Clusters
	if len(clusters) != 1 || len(clusters[0].NodePools) != 1 {
		t.Fatalf("there are %d clusters, with %d node pools", len(clusters), len(clusters[0].NodePools))
	}
	pool := clusters[0].NodePools[0]
	if pool.Size != size || pool.Count != count || !slices.Contains(pool.Tags, defaultPool) || !slices.Contains(pool.Tags, mark) {
		t.Errorf("the pool is %d × %s with tags %q, want %d × %s with Terraform's and berth's", pool.Count, pool.Size, pool.Tags, count, size)
	}
	for name, node := range w.kube.places() {
		if !slices.ContainsFunc(pool.Nodes, func(n *godo.KubernetesNode) bool { return n.Name == node }) {
			t.Errorf("pod %s is on %s, which is gone", name, node)
		}
	}
	if w.kube.fewest < replicas-1 {
		t.Errorf("only %d pods were ready at a time, although the budget keeps %d", w.kube.fewest, replicas-1)
	}
}

func TestASizeChangesByANewPool(t *testing.T) {
	w := start(t)
	before := w.makeCluster(t, mark)
	w.kube.deploy()
	if err := w.resize(t.Context(), w.connect(t), provider.Scale{Size: "s-4vcpu-8gb"}, state{}, w.said); err != nil {
		t.Fatal(err)
	}
	w.wantPool(t, "s-4vcpu-8gb", 2)
	if got := w.account(t).Clusters[0].ID; got != before.ID {
		t.Error("the cluster was replaced")
	}
	if len(w.kube.evicted) < replicas {
		t.Errorf("evicted %q: pods went by other ways than eviction", w.kube.evicted)
	}
	// Again: nothing is left to do.
	requests := len(w.do.Requests())
	if err := w.resize(t.Context(), w.connect(t), provider.Scale{Size: "s-4vcpu-8gb"}, state{}, w.said); err != nil {
		t.Fatal(err)
	}
	for _, request := range w.do.Requests()[requests:] {
		if request.Method != "GET" {
			t.Errorf("the second time it did %s %s", request.Method, request.Path)
		}
	}
}

func TestASizeAndACountAtOnce(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	if err := w.resize(t.Context(), w.connect(t), provider.Scale{Size: "s-4vcpu-8gb", Nodes: 3}, state{}, w.said); err != nil {
		t.Fatal(err)
	}
	w.wantPool(t, "s-4vcpu-8gb", 3)
}

// Each request that changes something fails once, or its answer is lost, as if
// berth had been killed there. The same call again must finish.
func TestAnInterruptedSizeIsFinished(t *testing.T) {
	const pools = "/v2/kubernetes/clusters/*/node_pools"
	for _, c := range []struct {
		at    string
		fault fake.Fault
	}{
		{"making the pool", fake.Fault{Method: "POST", Path: pools, Status: 422}},
		{"after the pool was made", fake.Fault{Method: "GET", Path: pools + "/*", Status: 404}},
		{"moving the tag", fake.Fault{Method: "PUT", Path: pools + "/*", Status: 422}},
		{"after the tag was moved", fake.Fault{Method: "DELETE", Path: pools + "/*", Status: 422}},
	} {
		t.Run(strings.ReplaceAll(c.at, " ", "-"), func(t *testing.T) {
			w := start(t)
			w.makeCluster(t, mark)
			w.kube.deploy()
			client := w.connect(t)
			w.do.Inject(c.fault)
			scale := provider.Scale{Size: "s-4vcpu-8gb"}
			if err := w.resize(t.Context(), client, scale, state{}, w.said); err == nil {
				t.Fatal("the fault did not show")
			}
			w.do.Release()
			if err := w.resize(t.Context(), client, scale, state{}, w.said); err != nil {
				t.Fatal(err)
			}
			w.wantPool(t, "s-4vcpu-8gb", 2)
		})
	}
}

func TestAnInterruptedSizeCanBeTakenBack(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.kube.deploy()
	client := w.connect(t)
	w.do.Inject(fake.Fault{Method: "DELETE", Path: "/v2/kubernetes/clusters/*/node_pools/*", Status: 422})
	if err := w.resize(t.Context(), client, provider.Scale{Size: "s-4vcpu-8gb"}, state{}, w.said); err == nil {
		t.Fatal("the fault did not show")
	}
	// The old pool is drained, closed and without its tag, and comes back.
	if err := w.resize(t.Context(), client, provider.Scale{Size: "s-2vcpu-4gb"}, state{}, w.said); err != nil {
		t.Fatal(err)
	}
	w.wantPool(t, "s-2vcpu-4gb", 2)
}

func TestPoolsOfOthersAreLeftAlone(t *testing.T) {
	w := start(t)
	cluster := w.makeCluster(t, mark)
	if _, _, err := w.api.Kubernetes.CreateNodePool(t.Context(), cluster.ID, &godo.KubernetesNodePoolCreateRequest{
		Name: "gpu", Size: "s-8vcpu-16gb", Count: 1,
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.resize(t.Context(), w.connect(t), provider.Scale{Size: "s-4vcpu-8gb"}, state{}, w.said); err != nil {
		t.Fatal(err)
	}
	var sizes []string
	for _, pool := range w.account(t).Clusters[0].NodePools {
		sizes = append(sizes, pool.Size)
	}
	slices.Sort(sizes)
	if want := []string{"s-4vcpu-8gb", "s-8vcpu-16gb"}; !slices.Equal(sizes, want) {
		t.Errorf("the pools' sizes are %q, want %q", sizes, want)
	}
}

func TestFewerNodesAreDrainedFirst(t *testing.T) {
	w := start(t)
	cluster := w.makeCluster(t, mark)
	w.kube.deploy()
	pool := cluster.NodePools[0]
	in := &intent{found: &inventory{cluster: cluster}, variables: variables{NodeCount: 1}}
	if err := w.shrink(t.Context(), in, w.said); err != nil {
		t.Fatal(err)
	}
	w.wantPool(t, "s-2vcpu-4gb", 1)
	if left := w.account(t).Clusters[0].NodePools[0].Nodes[0].ID; left != pool.Nodes[0].ID && left != pool.Nodes[1].ID {
		t.Error("the node that is left is a new one")
	}
}

func TestASizeThatIsNotOnOfferIsRefused(t *testing.T) {
	w := start(t)
	wantError(t, w.offered(t.Context(), "s-99vcpu-1gb"), "no nodes of size s-99vcpu-1gb", "s-2vcpu-4gb")
}
