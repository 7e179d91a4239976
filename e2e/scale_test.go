//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const database = "app.kubernetes.io/component=database,app.kubernetes.io/instance=realworld"

// Nodes come and go while production serves.
func testScale(t *testing.T) {
	c := running(t)
	t.Run("out", func(t *testing.T) {
		underLoad(t, "scale from 1 to 3 nodes", func() { mustBerth(t, "scale", "--nodes", "3") })
		c.hasNodes(t, "node-1", "node-2", "node-3")
	})
	t.Run("spread", func(t *testing.T) {
		underLoad(t, "deploy on 3 nodes", func() { mustBerth(t, "-C", marked(t, unique("spread")), "deploy", "production") })
		nodes := map[string]bool{}
		for _, pod := range c.pods(t, "production", app) {
			nodes[pod.Spec.NodeName] = true
		}
		if len(nodes) != 2 {
			t.Errorf("both pods of production are on %v", nodes)
		}
		t.Logf("the pods of production are on %v", slices.Sorted(maps.Keys(nodes)))
	})
	t.Run("in", func(t *testing.T) {
		if pod := c.pods(t, "production", database)[0]; pod.Spec.NodeName != "node-1" {
			t.Fatalf("the database is on %s: moving it takes it away for a moment, which is not what is tested here", pod.Spec.NodeName)
		}
		underLoad(t, "scale from 3 nodes to 1", func() { mustBerth(t, "scale", "--nodes", "1") })
		c.hasNodes(t, "node-1")
		if err := c.whole(t, ""); err != nil {
			t.Error(err)
		}
	})
}

func (c *cluster) hasNodes(t *testing.T, names ...string) {
	t.Helper()
	list, err := c.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, node := range list.Items {
		have = append(have, node.Name)
	}
	slices.Sort(have)
	if !slices.Equal(have, names) {
		t.Errorf("the nodes are %v, want %v", have, names)
	}
}

// A node takes its pods along, and never the data.
func testNodeRemoval(t *testing.T) {
	c := running(t)
	mustBerth(t, "scale", "--nodes", "2")
	c.cordon(t, "node-1", true)
	pod := c.pods(t, "production", database)[0]
	if err := c.CoreV1().Pods("production").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitDatabase(t, "node-2")
	c.cordon(t, "node-1", false)

	s := newSite(t, production).as(t, unique("mover"))
	var slugs []string
	for range 20 {
		slugs = append(slugs, s.write(t, unique("moved")))
	}
	began := time.Now()
	mustBerth(t, "scale", "--nodes", "1")
	c.hasNodes(t, "node-1")
	c.awaitDatabase(t, "node-1")
	s.holds(t, slugs...)
	t.Logf("%d articles written while the database was on node-2 are there after its removal (%s)", len(slugs), time.Since(began).Round(time.Second))
}

func (c *cluster) cordon(t *testing.T, node string, unschedulable bool) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%v}}`, unschedulable)
	if _, err := c.CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitDatabase waits until the database serves the application on a node.
func (c *cluster) awaitDatabase(t *testing.T, node string) {
	t.Helper()
	waitFor(t, "the database on "+node, 2*time.Minute, func() error {
		for _, pod := range c.pods(t, "production", database) {
			if pod.Spec.NodeName == node && ready(&pod) {
				return try(newSite(t, production), "GET", "/api/tags", nil)
			}
		}
		return fmt.Errorf("not there")
	})
}

// A size changes what a node offers, and no container notices.
func testSize(t *testing.T) {
	c := running(t)
	for _, refused := range []struct{ size, why string }{
		{"s-512vcpu-4gb", "this machine has"},
		{"s-1vcpu-2048gb", "this machine has"},
		{"large", "size"},
	} {
		berth(t, "scale", "--size", refused.size).wants(t, 2, refused.why)
	}
	whole := fmt.Sprintf("s-%dvcpu-3gb", runtime.NumCPU())
	mustBerth(t, "scale", "--size", whole)
	c.offers(t, int64(runtime.NumCPU())*1000, 3<<30)
	heavy := project(t, func(config object) {
		values(config, object{"resources": object{"requests": object{"memory": "900Mi"}, "limits": object{"memory": "900Mi"}}})
	})
	mustBerth(t, "-C", heavy, "deploy", "production")
	berth(t, "scale", "--size", "s-1vcpu-1gb").wants(t, 2, "the pods on node-1 request", "more memory than size s-1vcpu-1gb offers")
	mustBerth(t, "deploy", "production")
	awaitLeaving(t)

	before := c.containers(t)
	underLoad(t, "scale to a smaller size", func() { mustBerth(t, "scale", "--size", "s-1vcpu-2gb") })
	c.offers(t, 1000, 2<<30)
	underLoad(t, "scale to a larger size", func() { mustBerth(t, "scale", "--size", whole) })
	c.offers(t, int64(runtime.NumCPU())*1000, 3<<30)
	for name, began := range c.containers(t) {
		if was, ok := before[name]; !ok || !was.Equal(began) {
			t.Errorf("container %s began at %s, it is another one than before", name, began)
		}
	}
}

// offers checks what node-1 offers to pods.
func (c *cluster) offers(t *testing.T, milliCPU, bytes int64) {
	t.Helper()
	node, err := c.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cpu, memory := node.Status.Allocatable.Cpu().MilliValue(), node.Status.Allocatable.Memory().Value()
	// The kubelet keeps what it evicts at.
	if cpu != milliCPU || memory > bytes || memory < bytes-200<<20 {
		t.Errorf("node-1 offers %dm CPU and %d MiB, want %dm and %d", cpu, memory>>20, milliCPU, bytes>>20)
	}
}

// containers tells when each container began.
func (c *cluster) containers(t *testing.T) map[string]time.Time {
	t.Helper()
	began := map[string]time.Time{}
	for _, namespace := range []string{"staging", "production", "ingress"} {
		for _, pod := range c.pods(t, namespace, "") {
			for _, s := range pod.Status.ContainerStatuses {
				if s.State.Running != nil {
					began[namespace+"/"+pod.Name+"/"+s.Name] = s.State.Running.StartedAt.Time
				}
			}
		}
	}
	return began
}
