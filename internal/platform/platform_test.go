package platform

import (
	"encoding/json"
	"testing"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/charts"
	"berth/internal/provider"
)

var local = &provider.Cluster{Ingress: &provider.Ingress{
	Image: "berth.local/ingress:1", HTTP: "127.0.0.1:8080", HTTPS: "127.0.0.1:8443", Node: "node-1",
}}

func TestAClusterThatBringsItsOwnIngressGetsNone(t *testing.T) {
	if got := parts(&provider.Cluster{}); len(got) != 0 {
		t.Errorf("parts are %v", got)
	}
	if got := parts(local); len(got) != 1 || got[0].name != "ingress" || got[0].namespace != "ingress" {
		t.Errorf("parts are %v, want the ingress controller", got)
	}
}

func TestAPartIsInstalledAgainOnlyWhenItChanged(t *testing.T) {
	p := parts(local)[0]
	// What was installed comes back from the cluster as JSON.
	installed := func(change func(*helmrelease.Release)) *helmrelease.Release {
		t.Helper()
		was := &helmrelease.Release{Chart: load(t), Config: p.values}
		change(was)
		content, err := json.Marshal(was)
		if err != nil {
			t.Fatal(err)
		}
		back := new(helmrelease.Release)
		if err := json.Unmarshal(content, back); err != nil {
			t.Fatal(err)
		}
		return back
	}
	for _, c := range []struct {
		what   string
		change func(*helmrelease.Release)
		same   bool
	}{
		{"nothing", func(*helmrelease.Release) {}, true},
		{"a value", func(r *helmrelease.Release) { r.Config = map[string]any{"http": "127.0.0.1:80"} }, false},
		{"a default", func(r *helmrelease.Release) { r.Chart.Values["replicas"] = 7 }, false},
		{"a template", func(r *helmrelease.Release) { r.Chart.Templates[0].Data = []byte("kind: ConfigMap") }, false},
		{"one template less", func(r *helmrelease.Release) { r.Chart.Templates = r.Chart.Templates[1:] }, false},
	} {
		if got := same(installed(c.change), load(t), p.values); got != c.same {
			t.Errorf("changed %s: same is %v", c.what, got)
		}
	}
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := charts.Load("ingress")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
