package release

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	chartv2util "helm.sh/helm/v4/pkg/chart/v2/util"
	"sigs.k8s.io/yaml"

	"berth/internal/config"
	"berth/internal/provider"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", file, diff)
	}
}

// TestValues shows what the chart is given, and that the chart takes it.
func TestValues(t *testing.T) {
	c := &config.Config{Name: "shop", Port: 8000, Health: config.Health{Path: "/readyz"}, Env: map[string]string{"LOG_LEVEL": "info"}}
	local := &provider.Cluster{IngressClass: "nginx", StorageClass: "local", Postgres: "localhost/postgres:17"}
	tests := []struct {
		name    string
		e       config.Environment
		cluster *provider.Cluster
		secrets secretNames
	}{
		{"staging", config.Environment{Hosts: []string{"staging.shop.localhost"}, Database: config.SQLite, Replicas: 1}, local,
			secretNames{env: "shop-env", tls: "shop-tls", checksum: "abc"}},
		{"production", config.Environment{Hosts: []string{"shop.localhost", "www.shop.localhost"}, Database: config.Postgres, Replicas: 2,
			Values: map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": "512Mi"}}, "replicas": 3.0}}, local,
			secretNames{env: "shop-env", postgresql: "shop-postgresql", tls: "shop-tls", checksum: "abc"}},
		{"issuer", config.Environment{Hosts: []string{"shop.example"}, Database: config.NoDatabase, Replicas: 2},
			&provider.Cluster{IngressClass: "nginx", Issuer: "letsencrypt"}, secretNames{tls: "shop-tls"}},
		{"upstream", config.Environment{Hosts: []string{"shop.example"}, Database: config.NoDatabase, Replicas: 2, UpstreamTLS: true},
			&provider.Cluster{IngressClass: "nginx", Issuer: "letsencrypt"}, secretNames{tls: "shop-tls", upstream: "shop-upstream"}},
		{"plain", config.Environment{Database: config.NoDatabase, Replicas: 1}, &provider.Cluster{}, secretNames{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			vals := values(c, test.e, test.cluster, "registry.example/shop:1.2", test.secrets)
			text, err := yaml.Marshal(vals)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "values-"+test.name+".yaml", text)

			chart, err := loadChart()
			if err != nil {
				t.Fatal(err)
			}
			if err := chartv2util.ProcessDependencies(chart, vals); err != nil {
				t.Fatal(err)
			}
			_, err = chartutil.ToRenderValues(chart, vals, common.ReleaseOptions{Name: "shop", Namespace: test.name}, common.DefaultCapabilities)
			if err != nil {
				t.Errorf("the chart refuses them: %v", err)
			}
		})
	}
}

func TestMergeChangesNeither(t *testing.T) {
	base := map[string]any{"a": map[string]any{"x": 1, "y": 2}, "list": []any{1}}
	over := map[string]any{"a": map[string]any{"y": 3}, "list": []any{2}}
	want := map[string]any{"a": map[string]any{"x": 1, "y": 3}, "list": []any{2}}
	if diff := cmp.Diff(want, merge(base, over)); diff != "" {
		t.Error(diff)
	}
	if base["a"].(map[string]any)["y"] != 2 {
		t.Error("the base was changed")
	}
}
