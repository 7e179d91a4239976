package platform

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"berth/internal/config"
	"berth/internal/progress"
	"berth/internal/provider"
)

func metricsOf(application string, cluster *provider.Cluster) *Metrics {
	return &Metrics{
		shared{part: metricsPart, what: "what keeps metrics", cluster: cluster, client: fake.NewClientset(), application: application},
		&config.Config{Name: application, Metrics: config.Metrics(15 * 24 * time.Hour)},
	}
}

func TestWhatKeepsMetricsFitsItsChart(t *testing.T) {
	for _, test := range []struct {
		image   string
		cluster provider.Cluster
		want    map[string]any
	}{
		{"registry/metrics:1", provider.Cluster{Ingress: &provider.Ingress{}}, map[string]any{"reference": "registry/metrics:1", "ingressNamespace": "ingress"}},
		{"", provider.Cluster{StorageClass: "fast"}, map[string]any{"reference": "docker.io/victoriametrics/victoria-metrics:v1.151.0", "ingressNamespace": "", "storageClass": "fast"}},
	} {
		p := metricsOf("shop", &test.cluster).describe(test.image)
		values := fits(t, "what keeps metrics", p)
		values["reference"] = values["image"].(map[string]any)["reference"]
		for name, want := range test.want {
			if values[name] != want {
				t.Errorf("%s is %v, want %v", name, values[name], want)
			}
		}
		if fmt.Sprint(values["retentionDays"]) != "15" {
			t.Errorf("kept for %v days", values["retentionDays"])
		}
	}
}

// A cluster keeps metrics once. Another application neither changes that nor ends it.
func TestAnotherApplicationsMetricsAreLeftAlone(t *testing.T) {
	m := metricsOf("other", &provider.Cluster{})
	kept := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: metricsNamespace, Name: metricsName, Annotations: map[string]string{applicationAnnotation: "shop"}}}
	if _, err := m.client.AppsV1().Deployments(metricsNamespace).Create(t.Context(), kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	notes := &noted{Reporter: progress.Discard}
	if err := m.Install(t.Context(), "metrics:1", notes); err != nil {
		t.Fatal(err)
	}
	if len(notes.all) != 1 || !strings.Contains(notes.all[0], "shop") {
		t.Errorf("the notes are %q", notes.all)
	}
	if err := m.Remove(t.Context(), notes); err != nil {
		t.Fatal(err)
	}
	if _, err := m.client.AppsV1().Deployments(metricsNamespace).Get(t.Context(), metricsName, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestWhereNoMetricsAreKept(t *testing.T) {
	m := metricsOf("shop", &provider.Cluster{REST: &rest.Config{}})
	if _, err := m.Status(t.Context()); !errors.Is(err, ErrNoMetrics) {
		t.Errorf("got %v", err)
	}
	if _, err := m.Query(t.Context(), "up", 0); !errors.Is(err, ErrNoMetrics) {
		t.Errorf("got %v", err)
	}
	if err := m.Remove(t.Context(), progress.Discard); err != nil {
		t.Error(err)
	}
}

// A pod that does not run is an error that says where to look.
func TestWhatKeepsMetricsDoesNotRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/deployments/metrics") {
			fmt.Fprint(w, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"metrics"}}`)
			return
		}
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"metrics-1"},"status":{"phase":"Pending"}}]}`)
	}))
	t.Cleanup(server.Close)
	m, err := NewMetrics(&provider.Cluster{REST: &rest.Config{Host: server.URL}}, &config.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "what keeps metrics does not run") {
		t.Errorf("got %v", err)
	}
}
