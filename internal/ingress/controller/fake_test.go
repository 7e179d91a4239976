package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// refuse puts a script in NGINX's place that refuses configurations with a
// given word in them, as NGINX would, and hands all others on.
func (h *harness) refuse(word string) {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "nginx")
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = -t ] && grep -q '%s' '%s/candidate.conf'; then echo 'nginx: [emerg] no' >&2; exit 1; fi\nexec '%s' \"$@\"\n",
		word, h.server.Settings.Dir, h.server.Binary)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.server.Binary = path
}

func gather(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		metric := family.GetMetric()[0]
		samples[family.GetName()] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	return samples
}
