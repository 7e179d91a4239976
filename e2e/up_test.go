//go:build e2e

package e2e

import (
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The first up is the longest, and the one that people interrupt. Whatever it
// was at, the next one ends well.
func testInterruptedFirstUp(t *testing.T) {
	for _, moment := range []struct {
		said   string
		signal syscall.Signal
	}{
		{"• Build image ingress", syscall.SIGKILL},
		{"• Start the control plane", syscall.SIGKILL},
		{"• Bring up 1 node", syscall.SIGINT},
		{"to staging", syscall.SIGINT},
		{"to production", syscall.SIGKILL},
	} {
		up := begin(t, "up")
		up.until(moment.said)
		time.Sleep(time.Second)
		up.signal(moment.signal)
		o := up.end()
		if moment.signal == syscall.SIGINT {
			o.wants(t, 1)
		}
		t.Logf("%s while it says %q", moment.signal, moment.said)
	}
	// The killed deploy of production holds its lock for a moment.
	waitUnlocked(t, "up")
}

// waitUnlocked repeats a command while a killed one's lock lasts, which is said
// to be 30 seconds at most.
func waitUnlocked(t *testing.T, args ...string) outcome {
	t.Helper()
	began := time.Now()
	for {
		o := berth(t, args...)
		if o.status == 1 && strings.Contains(o.said, "locked") && time.Since(began) < 45*time.Second {
			time.Sleep(2 * time.Second)
			continue
		}
		o.wants(t, 0)
		return o
	}
}

func testUp(t *testing.T) {
	c := running(t)
	o := mustBerth(t, "up")
	o.wants(t, 0, "https://"+production+":8443", "https://"+staging+":8443", "--cacert "+authority)
	if o.took > time.Minute {
		t.Errorf("up again took %s, more than a minute", o.took)
	}
	if !strings.Contains(o.said, "nothing changed") {
		t.Errorf("up again makes a new revision:\n%s", o.said)
	}

	for host, database := range map[string]string{production: "postgresql://", staging: "sqlite://"} {
		s := newSite(t, host)
		var tags struct{ Tags []string }
		s.call(t, "GET", "/api/tags", nil, &tags)
		namespace := map[string]string{production: "production", staging: "staging"}[host]
		deployment, err := c.AppsV1().Deployments(namespace).Get(t.Context(), "realworld", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var url string
		for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == "DATABASE_URL" {
				url = variable.Value
			}
		}
		if !strings.HasPrefix(url, database) {
			t.Errorf("%s runs on %q, want %s", namespace, url, database)
		}
		redirects(t, host)
	}
	statusIsSane(t)
}

// redirects checks that plain HTTP leads to HTTPS.
func redirects(t *testing.T, host string) {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+httpAddress+"/api/tags?limit=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(httpAddress)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = net.JoinHostPort(host, port)
	response, err := newSite(t, host).client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	want := "https://" + host + ":8443/api/tags?limit=1"
	if got := response.Header.Get("Location"); response.StatusCode != http.StatusMovedPermanently || got != want {
		t.Errorf("http://%s answers %s with %q, want 301 with %q", host, response.Status, got, want)
	}
}

func statusIsSane(t *testing.T) {
	t.Helper()
	var status struct {
		OK           bool
		Cluster      string
		Nodes        []struct{ Ready bool }
		Environments []struct {
			Environment, Address, Database string
			Serving                        bool
			Ready, Wanted                  int
			Warnings                       []string
		}
	}
	mustBerth(t, "status", "--json").decode(t, &status)
	if !status.OK || status.Cluster != "local" || len(status.Nodes) != 1 || !status.Nodes[0].Ready || len(status.Environments) != 2 {
		t.Fatalf("status: %+v", status)
	}
	for i, want := range []struct {
		name, host, database string
		pods                 int
	}{{"staging", staging, "sqlite", 1}, {"production", production, "postgres", 2}} {
		e := status.Environments[i]
		if e.Environment != want.name || e.Address != "https://"+want.host+":8443" || e.Database != want.database ||
			!e.Serving || e.Ready != want.pods || e.Wanted != want.pods || len(e.Warnings) > 0 {
			t.Errorf("status of %s: %+v", want.name, e)
		}
	}
}
