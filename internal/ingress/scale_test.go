package ingress_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// TestScale serves 5,000 hosts of an application each and one host with 5,000
// paths, within a bound of memory, and a changed endpoint without a reload.
func TestScale(t *testing.T) {
	const count = 5000
	first, second := namedBackend(t, "first"), namedBackend(t, "second")
	var o ingress.Objects
	var paths []string
	for i := range count {
		name := fmt.Sprintf("app%d", i)
		addService(&o, name, first)
		o.Ingresses = append(o.Ingresses, newIngress(name, name+".test", "/ "+name))
		paths = append(paths, fmt.Sprintf("/p%d %s", i, name))
	}
	o.Ingresses = append(o.Ingresses, newIngress("paths", "paths.test", paths...))
	server := nginxtest.New(t)
	server.MemoryLimit = 768 << 20 / 100 * 85
	started := time.Now()
	model, problems := ingress.Build(o, server.Settings)
	built := time.Since(started)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	started = time.Now()
	size := len(model.Render())
	rendered := time.Since(started)
	started = time.Now()
	server.Serve(o)
	t.Logf("built in %s, rendered in %s (%d kB), served in %s", built, rendered, size>>10, time.Since(started))
	check := func(host, path, want string) {
		t.Helper()
		response, body := get(t, "http://"+server.HTTP()+path, host)
		if response.StatusCode != 200 || !strings.HasPrefix(body, want+" ") {
			t.Errorf("%s%s: %s %q, want %s", host, path, response.Status, body, want)
		}
	}
	check("app0.test", "/", "first")
	check("app4999.test", "/", "first")
	check("paths.test", "/p4999/x", "first")
	memory, err := server.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d hosts and %d paths: nginx holds %d MB, a reload needs %d MB", count, count, memory.Used>>20, memory.Needed>>20)
	if memory.Used < 1<<20 || !memory.Fits() {
		t.Errorf("%+v: a reload does not fit into the pod of the chart", memory)
	}
	model.Endpoints["shop.app4999.80"] = []string{second}
	started = time.Now()
	if err := server.ServeEndpoints(t.Context(), model.Endpoints); err != nil {
		t.Fatal(err)
	}
	t.Logf("an endpoint changed in %s", time.Since(started))
	check("app4999.test", "/", "second")
	check("paths.test", "/p4999/x", "second")
	check("app4998.test", "/", "first")
}
