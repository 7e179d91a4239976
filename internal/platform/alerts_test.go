package platform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/mask"
	"berth/internal/progress"
	"berth/internal/provider"
)

func alertsOf(application string, objects ...*core.Secret) *Alerts {
	client := fake.NewClientset()
	for _, o := range objects {
		if err := client.Tracker().Add(o); err != nil {
			panic(err)
		}
	}
	cluster := &provider.Cluster{Name: "do-fra1/shop", Issuer: "letsencrypt"}
	return &Alerts{shared: shared{part: watchPart, what: "the watch", cluster: cluster, client: client, application: application}, config: &config.Config{
		Name: application, Environments: map[string]config.Environment{"staging": {}, "production": {}},
		DotEnv: map[string]string{config.AlertsURL: "smtp://u:p@mail.example:587/?from=a@b.c&to=d@e.f", config.AlertsPingURL: "http://ping.example:8000/x"},
	}}
}

func TestTheWatchFitsItsChart(t *testing.T) {
	a := alertsOf("shop")
	to, err := alert.Parse(a.config.DotEnv[config.AlertsURL])
	if err != nil {
		t.Fatal(err)
	}
	p := a.describe("registry.example.com/watch:1", to, "0123")
	fits(t, "the watch", p)
	if got := p.values["networkPolicy"].(map[string]any)["ports"].([]int); !slices.Equal(got, []int{443, 587, 8000}) {
		t.Errorf("the ports are %v", got)
	}
	if got := p.values["namespaces"].([]string); !slices.Contains(got, "cert-manager") || !slices.Contains(got, "production") {
		t.Errorf("the namespaces are %v", got)
	}
	text, err := json.Marshal(p.values)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"mail.example", "ping.example", "u:p"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the values, which are in Helm's history, have %s of the URLs", secret)
		}
	}
}

// The watch gets fingerprints of secrets, the same for the same secrets, and no
// secret.
func TestTheWatchGetsNoSecrets(t *testing.T) {
	first, err := alertsOf("shop").settings(t.Context(), []string{"correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first["masks.json"], "horse") {
		t.Error("it gets a secret")
	}
	var masks mask.Fingerprints
	if err := json.Unmarshal([]byte(first["masks.json"]), &masks); err != nil {
		t.Fatal(err)
	}
	if got := masks.Mask("a correct horse runs"); strings.Contains(got, "horse") {
		t.Errorf("it lets %q through", got)
	}
	kept := &core.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: watchNamespace, Name: watchSecret}, Data: bytesOf(first)}
	again, err := alertsOf("shop", kept).settings(t.Context(), []string{"correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	if again["masks.json"] != first["masks.json"] {
		t.Error("every deploy makes other fingerprints, and so a new pod")
	}
}

// A cluster has one watch. Another application neither takes it over nor away.
func TestAnotherApplicationsWatchIsLeftAlone(t *testing.T) {
	a := alertsOf("other")
	watch := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: watchNamespace, Name: watchName, Annotations: map[string]string{applicationAnnotation: "shop"}}}
	if _, err := a.client.AppsV1().Deployments(watchNamespace).Create(t.Context(), watch, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	notes := &noted{Reporter: progress.Discard}
	if err := a.Install(t.Context(), "watch:1", nil, nil, notes); err != nil {
		t.Fatal(err)
	}
	if len(notes.all) != 1 || !strings.Contains(notes.all[0], "shop") {
		t.Errorf("the notes are %q", notes.all)
	}
	if err := a.Remove(t.Context(), notes); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.AppsV1().Deployments(watchNamespace).Get(t.Context(), watchName, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

type noted struct {
	progress.Reporter
	all []string
}

func (n *noted) Note(text string) { n.all = append(n.all, text) }

// The watch is asked through the API server, whichever pod it is.
func TestTheWatchIsAsked(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/deployments/watch"):
			fmt.Fprint(w, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"watch"}}`)
		case strings.HasSuffix(r.URL.Path, "/pods"):
			fmt.Fprint(w, `{"apiVersion":"v1","kind":"PodList","items":[
				{"metadata":{"name":"watch-old","deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Running"}},
				{"metadata":{"name":"watch-new"},"status":{"phase":"Running"}}]}`)
		case strings.HasSuffix(r.URL.Path, "/test"):
			asked = append(asked, r.Method+" "+r.URL.Path)
			fmt.Fprint(w, `[{"name":"ntfy"}]`)
		default:
			asked = append(asked, r.Method+" "+r.URL.Path)
			fmt.Fprint(w, `{"problems":[{"title":"production: web is in a crash loop"}]}`)
		}
	}))
	t.Cleanup(server.Close)
	a, err := NewAlerts(&provider.Cluster{REST: &rest.Config{Host: server.URL}}, &config.Config{})
	if err != nil {
		t.Fatal(err)
	}
	report, err := a.Status(t.Context())
	if err != nil || len(report.Problems) != 1 {
		t.Errorf("%v: %+v", err, report)
	}
	trials, err := a.Test(t.Context())
	if err != nil || len(trials) != 1 {
		t.Errorf("%v: %+v", err, trials)
	}
	proxy := "/api/v1/namespaces/watch/pods/watch-new:8080/proxy"
	if want := []string{"GET " + proxy + "/status", "POST " + proxy + "/test"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
