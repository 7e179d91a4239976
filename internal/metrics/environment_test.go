package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/compile"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/traffic"
)

// victoriaMetrics compiles what a local cluster runs. Go's cache has most of it.
func victoriaMetrics(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "victoria-metrics")
	err = progress.Run(progress.Discard, "", func(step progress.Step) error { return compile.VictoriaMetrics(root).Build(t.Context(), binary, step) })
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// start runs one with the arguments that the chart gives it, and more, on a port of its
// own.
func start(t *testing.T, binary string, more ...string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	var log bytes.Buffer
	command := exec.Command(binary, append([]string{"-httpListenAddr=" + address, "-storageDataPath=" + filepath.Join(t.TempDir(), "data"), "-retentionPeriod=15d",
		"-memory.allowedBytes=64MiB", "-storage.minFreeDiskSpaceBytes=1MiB", "-search.latencyOffset=5s", "-search.maxQueryDuration=20s", "-loggerFormat=json"}, more...)...)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended
		command.Wait()                       //nolint:errcheck // its log says why
		if t.Failed() {
			t.Logf("it said:\n%s", log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get("http://" + address + "/health"); err == nil {
			response.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not answer")
		}
	}
}

func ask(ctx context.Context, method, address string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = &kube.StatusError{Code: response.StatusCode, Body: content}
	}
	return content, err
}

func at(address string) Store {
	return Store{Get: func(ctx context.Context, path string) ([]byte, error) {
		return ask(ctx, http.MethodGet, "http://"+address+path, nil)
	}}
}

// TestVictoriaMetrics asks a real one of an hour of two pods' counters: the first answers
// all the time, the second came half an hour ago, is slow, and answers each tenth request
// with an error.
func TestVictoriaMetrics(t *testing.T) {
	address := start(t, victoriaMetrics(t))
	// What is younger than its latencyOffset it does not tell yet.
	now := time.Now().Add(-10 * time.Second).Truncate(time.Minute)
	var scraped strings.Builder
	sample := func(name, labels string, value float64, at time.Time) {
		fmt.Fprintf(&scraped, "%s{namespace=\"production\",service=\"shop\",%s} %g %d\n", name, labels, value, at.UnixMilli())
	}
	for at := now.Add(-70 * time.Minute); !at.After(now); at = at.Add(15 * time.Second) {
		since := func(began time.Time) float64 { return math.Max(0, at.Sub(began).Seconds()) }
		old := 10 * since(now.Add(-80*time.Minute)) // 10 requests a second, all within 50 ms
		sample("berth_ingress_requests_total", `pod="shop-old",class="2xx"`, old, at)
		for _, le := range []string{"0.05", "0.25", "+Inf"} {
			sample("berth_ingress_request_seconds_bucket", `pod="shop-old",le="`+le+`"`, old, at)
		}
		sample("container_memory_working_set_bytes", `pod="shop-old",container="web"`, 64<<20, at)
		sample("container_cpu_usage_seconds_total", `pod="shop-old",container="web"`, since(now.Add(-80*time.Minute))/20, at)
		if at.Before(now.Add(-30 * time.Minute)) {
			continue
		}
		all := 10 * since(now.Add(-30*time.Minute))
		sample("berth_ingress_requests_total", `pod="shop-new",class="2xx"`, all*0.9, at)
		sample("berth_ingress_requests_total", `pod="shop-new",class="5xx"`, all*0.1, at)
		for le, part := range map[string]float64{"0.05": 0, "0.25": 0.5, "+Inf": 1} {
			sample("berth_ingress_request_seconds_bucket", `pod="shop-new",le="`+le+`"`, all*part, at)
		}
	}
	// Another environment's, or application's, are not asked for.
	other := strings.ReplaceAll(scraped.String(), `"production"`, `"staging"`) + strings.ReplaceAll(scraped.String(), `"shop`, `"wiki`)
	if _, err := ask(t.Context(), http.MethodPost, "http://"+address+"/api/v1/import/prometheus", strings.NewReader(scraped.String()+other)); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), http.MethodGet, "http://"+address+"/internal/force_flush", nil); err != nil {
		t.Fatal(err)
	}
	store := at(address)
	e, err := store.Environment(t.Context(), "shop", "production", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]traffic.Endpoint{
		"shop-old": {Classes: [6]int{2: 36000}, Bounds: []float64{0.05, 0.25}, Buckets: []int{36000, 0, 0}},
		"shop-new": {Classes: [6]int{2: 16200, 5: 1800}, Bounds: []float64{0.05, 0.25}, Buckets: []int{0, 9000, 9000}},
	}
	if diff := cmp.Diff(want, e.Pods); diff != "" {
		t.Error(diff)
	}
	if len(e.Rate) != points || e.StepSeconds != 60 {
		t.Fatalf("%d values, a step of %g s", len(e.Rate), e.StepSeconds)
	}
	near := func(what string, got Value, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > want/100 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("requests a second at first", e.Rate[0], 10)
	near("requests a second at last", e.Rate[points-1], 20)
	near("errors at first", e.Errors[0], 0)
	near("errors at last", e.Errors[points-1], 0.05)
	near("p99 at first", e.P99[0], 0.0495) // interpolated in its bucket
	near("p99 at last", e.P99[points-1], 0.25)
	near("CPU", e.CPU[points-1], 0.05)
	near("memory", e.Memory[points-1], 64<<20)

	nobody, err := store.Environment(t.Context(), "shop", "preview", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, last := Span(nobody.Rate); !last.Missing() || len(nobody.Pods) != 0 || len(nobody.Errors) != points {
		t.Errorf("an environment that nobody asked: %+v", nobody)
	}
	if _, err := store.Query(t.Context(), "up{", now); err == nil || !strings.Contains(err.Error(), "up{") {
		t.Errorf("no PromQL: %v", err)
	}
	if got, err := store.Query(t.Context(), `count(count by (pod) (berth_ingress_requests_total{namespace="production", service="shop"}))`, now); err != nil || len(got) != 1 || got[0].Points[0].Value != 2 {
		t.Errorf("PromQL: %+v, %v", got, err)
	}
}
