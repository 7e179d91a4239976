package release

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	chartv2util "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"berth/charts"
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
	shop := config.Config{
		Name: "shop", Port: 8000, Health: config.Health{Path: "/readyz", Timeout: config.Duration(3 * time.Second)},
		Env: map[string]string{"LOG_LEVEL": "info"}, User: "1000", Writable: config.Writable{"/tmp"},
	}
	stranger := config.Config{
		Name: "shop", Port: 80, Command: config.Command{"gunicorn", "app:app"},
		Health:    config.Health{Path: "/", Timeout: config.Duration(10 * time.Second), Status: 401},
		Resources: config.Resources{Memory: "1Gi"}, User: "1000:2000",
		Env: map[string]string{"LOG_LEVEL": "info", "PRICE": "5$"}, References: map[string]string{"BROKER_URL": "$(REDIS_URL)/1"},
		Release: config.Release{Command: config.Command{"flask", "db", "upgrade"}, Timeout: config.Duration(10 * time.Minute)},
		Processes: map[string]config.Process{
			"worker":  {Command: config.Command{"celery", "worker"}, Replicas: 2, Resources: config.Resources{CPU: "500m"}, Env: map[string]string{"QUEUE": "mail"}},
			"nightly": {Command: config.Command{"flask", "report"}, Schedule: "0 3 * * *", TimeZone: "Europe/Berlin", Deadline: config.Duration(time.Hour)},
		},
		Volumes:  map[string]config.Volume{"uploads": {Path: "/app/uploads", Size: "5Gi"}},
		Services: map[string]string{"cache": "valkey"},
	}
	mailer := config.Config{
		Name: "shop", Writable: config.Writable{},
		Processes: map[string]config.Process{"send": {Command: config.Command{"mailer"}, Replicas: 1}},
	}
	local := &provider.Cluster{IngressClass: "nginx", StorageClass: "local", Postgres: "localhost/postgres:17", Services: map[string]string{"valkey": "localhost/valkey:8"}}
	tests := []struct {
		name    string
		c       config.Config
		e       config.Environment
		cluster *provider.Cluster
		secrets secretNames
	}{
		{"staging", shop, config.Environment{Hosts: []string{"staging.shop.localhost"}, Database: config.SQLite, Replicas: 1}, local,
			secretNames{env: "shop-env", keys: []string{"SECRET_KEY"}, tls: "shop-tls", checksum: "abc"}},
		{"production", shop, config.Environment{Hosts: []string{"shop.localhost", "www.shop.localhost"}, Database: config.Postgres, Replicas: 2,
			Values: map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": "512Mi"}}, "replicas": 3.0}}, local,
			secretNames{env: "shop-env", keys: []string{"SECRET_KEY"}, postgresql: "shop-postgresql", tls: "shop-tls", checksum: "abc"}},
		{"issuer", shop, config.Environment{Hosts: []string{"shop.example"}, Database: config.NoDatabase, Replicas: 2},
			&provider.Cluster{IngressClass: "nginx", Issuer: "letsencrypt"}, secretNames{tls: "shop-tls"}},
		{"upstream", shop, config.Environment{Hosts: []string{"shop.example"}, Database: config.NoDatabase, Replicas: 2, UpstreamTLS: true},
			&provider.Cluster{IngressClass: "nginx", Issuer: "letsencrypt"}, secretNames{tls: "shop-tls", upstream: "shop-upstream"}},
		{"stranger", stranger, config.Environment{
			Hosts: []string{"*.shop.localhost"}, Database: config.Postgres, Replicas: 2,
			Env: map[string]string{"LOG_LEVEL": "debug"}, Processes: map[string]int{"worker": 0},
		}, local, secretNames{env: "shop-env", keys: []string{"SECRET_KEY"}, postgresql: "shop-postgresql", tls: "shop-tls", checksum: "abc"}},
		{"mailer", mailer, config.Environment{Database: config.NoDatabase}, local, secretNames{}},
		{"plain", shop, config.Environment{Database: config.NoDatabase, Replicas: 1}, &provider.Cluster{}, secretNames{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.c.Environments = map[string]config.Environment{test.name: test.e}
			vals := values(&test.c, test.name, test.cluster, "registry.example/shop:1.2", test.secrets)
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

// Every kind of service that berth.yaml may name is one that the chart knows,
// and the other way round.
func TestTheChartKnowsEveryKindOfService(t *testing.T) {
	chart, err := charts.Load("service")
	if err != nil {
		t.Fatal(err)
	}
	kinds, _ := chart.Values["kinds"].(map[string]any)
	if diff := cmp.Diff(config.ServiceKinds, slices.Sorted(maps.Keys(kinds))); diff != "" {
		t.Error(diff)
	}
}

// The chart sets just the variables that the configuration takes for given: references
// are checked against those, and berth new writes them.
func TestTheChartSetsTheVariablesThatAreGiven(t *testing.T) {
	for _, database := range []config.Database{config.Postgres, config.SQLite, config.NoDatabase} {
		c := config.Config{
			Name: "shop", Port: 8000, Health: config.Health{Path: "/", Timeout: config.Duration(time.Second)},
			Services:     map[string]string{"cache": "valkey", "job-queue": "valkey"},
			Environments: map[string]config.Environment{"production": {Hosts: []string{"shop.example"}, Database: database, Replicas: 1}},
		}
		vals := values(&c, "production", &provider.Cluster{}, "registry.example/shop:1.2", secretNames{postgresql: "shop-postgresql"})
		set := map[string]bool{}
		for _, variable := range rendered(t, vals).Spec.Template.Spec.Containers[0].Env {
			set[variable.Name] = true
		}
		// What only the process that answers requests is told.
		delete(set, "PORT")
		delete(set, "LISTEN")
		if diff := cmp.Diff(slices.Sorted(maps.Keys(c.Given("production"))), slices.Sorted(maps.Keys(set))); diff != "" {
			t.Errorf("with the database %s (-given +set):\n%s", database, diff)
		}
	}
}

// rendered is the web process that the chart makes of values.
func rendered(t *testing.T, vals map[string]any) *apps.Deployment {
	t.Helper()
	chart, err := loadChart()
	if err != nil {
		t.Fatal(err)
	}
	if err := chartv2util.ProcessDependencies(chart, vals); err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(chart, vals, common.ReleaseOptions{Name: "shop", Namespace: "production"}, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Engine{}.RenderWithContext(t.Context(), chart, all)
	if err != nil {
		t.Fatal(err)
	}
	var deployment apps.Deployment
	if err := yaml.UnmarshalStrict([]byte(files["realworld/templates/deployment.yaml"]), &deployment); err != nil {
		t.Fatal(err)
	}
	return &deployment
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
