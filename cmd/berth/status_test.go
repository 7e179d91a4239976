package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"berth/internal/release"
)

type object = map[string]any

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

// Where the cluster measures, there are columns for it, and nowhere else.
func TestStatusShowsWhatIsUsed(t *testing.T) {
	w := newWorld()
	server := w.api(t)
	w.status = map[string]release.Status{
		"staging": {Environment: "staging", Deployed: true, Serving: true, Ready: 1, Wanted: 1, Pods: []release.Pod{{Name: "young"}}},
		"production": {Environment: "production", Deployed: true, Serving: true, Ready: 2, Wanted: 2,
			Pods: []release.Pod{{Name: "tiny-a"}, {Name: "tiny-b"}, {Name: "young"}}},
	}
	if got := w.berth(t, "status"); strings.Contains(got.out, "USED") {
		t.Errorf("nothing is measured, but it says\n%s", got.out)
	}
	server.Set("/apis/metrics.k8s.io/v1beta1/nodes", object{"items": []object{
		{"metadata": object{"name": "node-1"}, "usage": object{"cpu": "1989680064n", "memory": "2048Ki"}},
	}})
	server.Set("/apis/metrics.k8s.io/v1beta1/namespaces/production/pods", object{"items": []object{
		{"metadata": object{"name": "tiny-a"}, "containers": []object{{"usage": object{"cpu": "12m", "memory": "3Mi"}}, {"usage": object{"cpu": "1m", "memory": "1Mi"}}}},
		{"metadata": object{"name": "tiny-b"}, "containers": []object{{"usage": object{"cpu": "0", "memory": "2Mi"}}}},
		{"metadata": object{"name": "of-another"}, "containers": []object{{"usage": object{"cpu": "9", "memory": "9Gi"}}}},
	}})
	got := w.berth(t, "status")
	if got.status != succeeded {
		t.Errorf("%+v", got)
	}
	squeezed := strings.Join(strings.Fields(got.out), " ")
	for _, want := range []string{
		"CPUS MEMORY CPU USED MEMORY USED AGE", "1990m 2Mi",
		"SINCE CPU USED MEMORY USED IMAGE", "2/2 13m 6Mi", "1/1 ✓ production",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("%q is missing in\n%s", want, got.out)
		}
	}
	if got := w.berth(t, "status", "--json"); !strings.Contains(strings.Join(strings.Fields(got.out), ""), `"usage":{"cpuMillicores":13,"memoryBytes":4194304}`) {
		t.Errorf("the JSON has no usage of pods:\n%s", got.out)
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
