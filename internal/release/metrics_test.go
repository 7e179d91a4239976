package release

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/config"
	"berth/internal/traffic"
)

// Revision 7 was forgotten, 8 made pods, 9 changed nothing of them, 10 failed, and 11
// is what 9 was.
func TestRequestsByRevision(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(minute int) metav1.Time { return metav1.NewTime(began.Add(time.Duration(minute) * time.Minute)) }
	yes := true
	set := func(name, owner, count string, minute int) *apps.ReplicaSet {
		return &apps.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Namespace: "production", Name: name, CreationTimestamp: at(minute), Annotations: map[string]string{deploymentRevision: count},
			OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: &yes}},
		}}
	}
	record := func(version string, minute int) *core.Secret {
		return &core.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: "production", Name: "sh.helm.release.v1.shop.v" + version, CreationTimestamp: at(minute),
			Labels: map[string]string{"owner": "helm", "name": "shop", "version": version},
		}}
	}
	client := fake.NewClientset(
		&apps.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "shop", UID: "web", Annotations: map[string]string{deploymentRevision: "4"}}},
		set("shop-5bd9c4", "web", "1", 5), set("shop-7d9c6b", "web", "4", 10), set("shop-6c9d7f", "web", "3", 30), set("shop-worker-aaa", "worker", "1", 10),
		record("8", 10), record("9", 20), record("10", 29), record("11", 31),
	)
	c := &Client{kube: client, config: &config.Config{Name: "shop", Environments: map[string]config.Environment{"production": {}}}}
	answered := func(good, bad int) traffic.Endpoint {
		return traffic.Endpoint{Classes: [6]int{2: good, 5: bad}, Bounds: []float64{0.1}, Buckets: []int{good, bad}}
	}
	got, err := c.ByRevision(t.Context(), "production", map[string]traffic.Endpoint{
		"shop-5bd9c4-aaaaa": answered(3, 0), "shop-7d9c6b-bbbbb": answered(1000, 0), "shop-7d9c6b-ccccc": answered(2000, 1),
		"shop-6c9d7f-ddddd": answered(0, 40), "shop-6c9d7f-eeeee": answered(0, 0), "shop-gone-fffff": answered(5, 0), "": answered(2, 0),
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tenth := 0.1
	classes := func(good, bad int) map[string]int {
		return map[string]int{"1xx": 0, "2xx": good, "3xx": 0, "4xx": 0, "5xx": bad}
	}
	want := []Requests{
		{Revision: 11, Pods: 2, Seconds: 3600, Requests: 3001, Classes: classes(3000, 1), P50: &tenth, P99: &tenth, Most: tenth},
		{Revision: 10, Pods: 1, Seconds: 3600, Requests: 40, Classes: classes(0, 40), Most: tenth},
		{Revision: 0, Pods: 3, Seconds: 3600, Requests: 10, Classes: classes(10, 0), P50: &tenth, P99: &tenth, Most: tenth},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
