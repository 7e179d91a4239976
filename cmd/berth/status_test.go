package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/release"
)

func TestStatusShowsEverythingAtAGlance(t *testing.T) {
	w := newWorld()
	w.api(t)
	w.status = map[string]release.Status{
		"staging": {Environment: "staging", Deployed: true, Serving: true, Ready: 1, Wanted: 1,
			Revision: release.Revision{Number: 4, Image: "local/tiny:1", When: time.Now().Add(-3 * time.Hour)}},
		"production": {Environment: "production"},
	}
	got := w.berth(t, "status")
	// production is down, which the exit status says.
	if got.status != failed || got.errors != "" {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{
		"Cluster local (local)\n",
		"✓  node-1  ready  v1.37.2",
		"✓  staging      https://staging.tiny.localhost:8443  4    1/1   3h     local/tiny:1\n",
		"✗  production   https://tiny.localhost:8443                            nothing is deployed\n",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in\n%s", want, got.out)
		}
	}
}

func TestStatusForPrograms(t *testing.T) {
	w := newWorld()
	w.api(t)
	serving := release.Status{Deployed: true, Serving: true, Warnings: []string{}}
	w.status = map[string]release.Status{"staging": serving, "production": serving}
	got := w.berth(t, "status", "--json")
	var seen struct {
		OK       bool   `json:"ok"`
		Cluster  string `json:"cluster"`
		Provider string `json:"provider"`
		Nodes    []struct {
			Name  string `json:"name"`
			Ready bool   `json:"ready"`
		} `json:"nodes"`
		Environments []struct {
			Address string `json:"address"`
			Serving bool   `json:"serving"`
		} `json:"environments"`
	}
	if err := json.Unmarshal([]byte(got.out), &seen); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if got.status != succeeded || !seen.OK || seen.Cluster != "local" || seen.Provider != "local" ||
		len(seen.Nodes) != 1 || !seen.Nodes[0].Ready ||
		len(seen.Environments) != 2 || seen.Environments[1].Address != "https://tiny.localhost:8443" {
		t.Errorf("%+v", seen)
	}
}

func TestNodesAtAGlance(t *testing.T) {
	item := core.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-2"},
		Spec:       core.NodeSpec{Unschedulable: true},
		Status: core.NodeStatus{
			Allocatable: core.ResourceList{core.ResourceCPU: resource.MustParse("1500m"), core.ResourceMemory: resource.MustParse("3Gi")},
			Conditions:  []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionFalse, Reason: "KubeletNotReady"}},
		},
	}
	got := nodeOf(item)
	if got.Ready || got.State != "not ready: KubeletNotReady, takes no new pods" || got.CPUs != "1500m" || got.Memory != "3.0 GiB" {
		t.Errorf("%+v", got)
	}
	if unknown := nodeOf(core.Node{}); unknown.Ready || unknown.State != "unknown" {
		t.Errorf("%+v", unknown)
	}
}

func TestSince(t *testing.T) {
	now := time.Now()
	for age, want := range map[time.Duration]string{
		-time.Second: "0s", 5 * time.Second: "5s", 90 * time.Second: "1m", 47 * time.Hour: "47h", 72 * time.Hour: "3d",
	} {
		if got := since(now.Add(-age), now); got != want {
			t.Errorf("%s: got %s, want %s", age, got, want)
		}
	}
	if got := since(time.Time{}, now); got != "" {
		t.Errorf("got %s", got)
	}
}
