package platform

import (
	"encoding/json"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"berth/charts"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/existing/apitest"
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

// DigitalOcean's clusters get metrics-server, unless somebody's measures there
// already.
func TestMetricsServerIsInstalledWhereNoneIs(t *testing.T) {
	server := apitest.Start()
	t.Cleanup(server.Close)
	server.Set("/api/v1/namespaces/metrics-server/secrets", core.SecretList{})
	cluster := &provider.Cluster{Metrics: true, REST: &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}}
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		t.Fatal(err)
	}
	all := parts(cluster)
	if len(all) != 1 || all[0].name != "metrics-server" || all[0].security != "restricted" {
		t.Fatalf("parts are %+v, want metrics-server", all)
	}
	if _, err := all[0].load(); err != nil {
		t.Error(err)
	}
	for _, there := range []bool{false, true} {
		if there {
			server.Set("/apis/metrics.k8s.io/v1beta1", metav1.APIResourceList{GroupVersion: "metrics.k8s.io/v1beta1"})
		}
		if foreign, err := all[0].foreign(cluster, client); foreign != there || err != nil {
			t.Errorf("somebody's is there %v: foreign is %v, %v", there, foreign, err)
		}
	}
	// It is left out of both, without a request that would change anything.
	if err := Install(t.Context(), cluster, nil, progress.Discard); err != nil {
		t.Error(err)
	}
	if err := Remove(t.Context(), cluster, nil, progress.Discard); err != nil {
		t.Error(err)
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

// fits has a part's chart take its values, and returns them with the chart's own.
func fits(t *testing.T, what string, p part) map[string]any {
	t.Helper()
	chart, err := charts.Load(p.chart)
	if err != nil {
		t.Fatal(err)
	}
	values, err := util.CoalesceValues(chart, stored(p.values))
	if err != nil {
		t.Fatal(err)
	}
	if err := util.ValidateAgainstSchema(chart, values); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return values
}
