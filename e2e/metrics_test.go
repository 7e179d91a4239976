//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is measured is kept, by revision, through the death of the pod that keeps it.
// Nobody reaches that, and nothing of it is left when it is not wanted any more.
func testMetrics(t *testing.T) {
	c := running(t)
	folder := t.TempDir()
	for _, name := range []string{"Dockerfile", "main.go"} {
		write(t, filepath.Join(folder, name), readFile(t, filepath.Join("testdata", "hello", name)))
	}
	write(t, filepath.Join(folder, ".env"), "GREETING="+unique("ahoy")+"\n")
	deploy := func(keys string) {
		t.Helper()
		yaml := readFile(t, filepath.Join("testdata", "hello", "berth.yaml"))
		write(t, filepath.Join(folder, "berth.yaml"), yaml+keys)
		mustBerth(t, "-C", folder, "deploy", "staging")
	}
	deploy("metrics: 2d\n")
	t.Cleanup(func() {
		deploy("metrics: 0\n")
		c.keepsNothing(t)
		berth(t, "-C", folder, "metrics", "staging", "--for", "1s").wants(t, 0, "REV")
		berth(t, "-C", folder, "metrics", "staging", "--since", "1h").wants(t, 1, "no metrics are kept", "metrics: 15d")
	})

	l := startAsking(t, 20)
	defer l.end()
	first := c.measured(t, folder, func(m measured) error {
		if len(m.Revisions) == 0 || m.Revisions[0].Requests < 300 {
			return fmt.Errorf("%+v", m.Revisions)
		}
		return nil
	}).Revisions[0]
	if first.Classes["5xx"] != 0 || first.P99 == nil {
		t.Errorf("the first revision answered %+v", first)
	}
	// Another revision, which fails now and then.
	deploy("metrics: 2d\nenv: {FAIL_EVERY: \"5\"}\n")
	seen := c.measured(t, folder, func(m measured) error {
		if len(m.Revisions) < 2 || m.Revisions[0].Requests < 300 {
			return fmt.Errorf("%+v", m.Revisions)
		}
		return m.lines()
	})
	second, before := seen.Revisions[0], seen.Revisions[1]
	if second.Revision <= before.Revision || before.Revision != first.Revision || before.Classes["5xx"] != 0 {
		t.Errorf("revisions %+v and %+v", second, before)
	}
	if share := float64(second.Classes["5xx"]) / float64(second.Requests); share < 0.15 || share > 0.25 {
		t.Errorf("%.3f of the second revision's answers are errors, want a fifth: %+v", share, second)
	}
	mustBerth(t, "-C", folder, "metrics", "staging").wants(t, 0, "REV", "requests/s", "█")
	mustBerth(t, "-C", folder, "metrics", "staging", "--query", `min(up)`).wants(t, 0, "{}      1")
	if o := berth(t, "-C", folder, "status"); !strings.Contains(o.said, "✓ metrics: kept for 2 days, all ") {
		t.Errorf("status says:\n%s", o.said)
	}

	c.survives(t, folder, second.Requests)
	c.unreachable(t)
	pod := c.pods(t, "metrics", "app.kubernetes.io/name=metrics")[0]
	for _, usage := range []string{`container_memory_working_set_bytes{namespace="metrics"}`, `rate(container_cpu_usage_seconds_total{namespace="metrics"}[2m])`} {
		t.Logf("it takes %s: %s", usage, mustBerth(t, "-C", folder, "metrics", "staging", "--query", usage).printed)
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.Reason == "OOMKilled" {
			t.Error("its memory is too little")
		}
	}
}

// measured is what berth metrics --json prints of what is kept.
type measured struct {
	Rate, Errors, P99, CPU, Memory []*float64
	Revisions                      []struct {
		Revision, Requests int
		Classes            map[string]int
		P99                *float64
	}
}

// lines returns an error where a line would be empty.
func (m measured) lines() error {
	for what, values := range map[string][]*float64{"rate": m.Rate, "errors": m.Errors, "p99": m.P99, "cpu": m.CPU, "memory": m.Memory} {
		if !slices.ContainsFunc(values, func(v *float64) bool { return v != nil && *v > 0 }) {
			return fmt.Errorf("nothing is kept of %s", what)
		}
	}
	return nil
}

// measured waits for what is kept to be as it should.
func (c *cluster) measured(t *testing.T, folder string, good func(measured) error) (m measured) {
	t.Helper()
	waitFor(t, "metrics", 3*time.Minute, func() error {
		o := berth(t, "-C", folder, "metrics", "staging", "--since", "15m", "--json")
		if o.status != 0 {
			return fmt.Errorf("%s", o.said)
		}
		m = measured{}
		o.decode(t, &m)
		return good(m)
	})
	return m
}

// survives kills the pod that keeps metrics. What it had, the next one has.
func (c *cluster) survives(t *testing.T, folder string, requests int) {
	t.Helper()
	pod, now := c.pods(t, "metrics", "app.kubernetes.io/name=metrics")[0], int64(0)
	time.Sleep(10 * time.Second) // what is younger may be in its memory alone
	if err := c.CoreV1().Pods("metrics").Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	c.measured(t, folder, func(m measured) error {
		if len(m.Revisions) < 2 || m.Revisions[0].Requests < requests {
			return fmt.Errorf("%d requests were there, and now %+v", requests, m.Revisions)
		}
		return nil
	})
}

// unreachable tries to come by metrics from a pod, without a token, and by the network.
func (c *cluster) unreachable(t *testing.T) {
	t.Helper()
	pod := c.pods(t, "metrics", "app.kubernetes.io/name=metrics")[0]
	ingress := c.pods(t, "ingress", "app.kubernetes.io/name=ingress")[0]
	script := fmt.Sprintf(`ask() { exec 3<>/dev/tcp/$1/$2 || return; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; head -c 300 <&3; }
echo "ingress: $(timeout 5 bash -c "$(declare -f ask); ask %s 10254" 2>&1 | head -1)"
echo "metrics: $(timeout 5 bash -c "$(declare -f ask); ask %s 8428" 2>&1 | head -1)"; sleep 600`, ingress.Status.HostIP, pod.Status.PodIP)
	name := shell(t, "curious", script)
	said := ""
	waitFor(t, "the answers", 2*time.Minute, func() error {
		raw, err := c.CoreV1().Pods("staging").GetLogs(name, &core.PodLogOptions{}).DoRaw(t.Context())
		if said = string(raw); err != nil || !strings.Contains(said, "metrics: ") {
			return fmt.Errorf("%v: %s", err, said)
		}
		return nil
	})
	if !strings.Contains(said, "ingress: HTTP/1.0 401") || strings.Contains(said, "metrics: HTTP") {
		t.Errorf("a pod gets:\n%s", said)
	}
}

// keepsNothing checks that neither namespace nor volume nor right is left.
func (c *cluster) keepsNothing(t *testing.T) {
	t.Helper()
	// The test's own context has ended.
	ctx := context.Background()
	if _, err := c.CoreV1().Namespaces().Get(ctx, "metrics", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace: %v", err)
	}
	if _, err := c.RbacV1().ClusterRoles().Get(ctx, "metrics-metrics", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the ClusterRole: %v", err)
	}
	if _, err := c.RbacV1().Roles("ingress").Get(ctx, "metrics-ingress", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Role: %v", err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		volumes, err := c.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		left := ""
		for _, v := range volumes.Items {
			if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == "metrics" {
				left = v.Name
			}
		}
		if left == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("volume %s is left", left)
		}
	}
}
