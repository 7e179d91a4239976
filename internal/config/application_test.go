package config

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", file, diff)
	}
}

// fromTestdata reads a berth.yaml of testdata.
func fromTestdata(t *testing.T, name, dotEnv string) (*Config, error) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return Load(folder(t, map[string]string{File: string(source), ".env": dotEnv}), nil)
}

// said leaves out of a tree what says nothing.
func said(tree map[string]any) map[string]any {
	for key, value := range tree {
		if below, ok := value.(map[string]any); ok && len(said(below)) > 0 {
			continue
		}
		if value == nil || value == "" || value == 0.0 || reflect.ValueOf(value).Kind() == reflect.Map {
			delete(tree, key)
		}
	}
	return tree
}

// The golden files are what berth.yaml means, with all that it left open.
func TestApplications(t *testing.T) {
	for _, name := range []string{"shop", "works"} {
		t.Run(name, func(t *testing.T) {
			c, err := fromTestdata(t, name, "")
			if err != nil {
				t.Fatal(err)
			}
			c.Dir, c.StateDir, c.DotEnv = "", "", nil
			c.Local, c.DigitalOcean, c.Existing = Local{}, DigitalOcean{}, Existing{}
			text, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]any
			if err := json.Unmarshal(text, &all); err != nil {
				t.Fatal(err)
			}
			if text, err = json.MarshalIndent(said(all), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden.json", string(text)+"\n")
		})
	}
}

// Each mistake has a line of its own, with the line where it is.
func TestMistakes(t *testing.T) {
	for _, name := range []string{"mistakes", "kinds", "idle"} {
		t.Run(name, func(t *testing.T) {
			_, err := fromTestdata(t, name, "")
			if !fault.IsUsage(err) {
				t.Fatalf("got %v, want a mistake in the call", err)
			}
			golden(t, name+".golden.txt", err.Error()+"\n")
		})
	}
}

func TestWhatAnEnvironmentHas(t *testing.T) {
	c, err := fromTestdata(t, "shop", "NPM_TOKEN=t\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		environment string
		env         map[string]string
		secrets     []string
		workers     int
		host        string
	}{
		{"staging", map[string]string{"LOG_LEVEL": "debug", "PRICE": "5$ $$ $(HOME) ${HOME}", "WORKERS": "2"}, []string{"SECRET_KEY"}, 0, "shop.internal"},
		{"production", map[string]string{"LOG_LEVEL": "info", "PRICE": "5$ $$ $(HOME) ${HOME}", "WORKERS": "2"}, []string{"SECRET_KEY", "STRIPE_KEY"}, 2, "shop.internal"},
	} {
		if diff := cmp.Diff(test.env, c.EnvOf(test.environment)); diff != "" {
			t.Errorf("%s: env: %s", test.environment, diff)
		}
		if diff := cmp.Diff(test.secrets, c.SecretsOf(test.environment)); diff != "" {
			t.Errorf("%s: secrets: %s", test.environment, diff)
		}
		if got := c.ReplicasOf(test.environment, "worker"); got != test.workers {
			t.Errorf("%s: %d workers, want %d", test.environment, got, test.workers)
		}
		if got := c.HealthHost(test.environment); got != test.host {
			t.Errorf("%s: the Host is %q, want %q", test.environment, got, test.host)
		}
	}
	secrets, err := c.BuildSecrets()
	if diff := cmp.Diff(map[string]string{"NPM_TOKEN": "t"}, secrets); diff != "" || err != nil {
		t.Errorf("the build's secrets: %v %s", err, diff)
	}
	delete(c.DotEnv, "NPM_TOKEN")
	if _, err := c.BuildSecrets(); err == nil || fault.Hint(err) == "" {
		t.Errorf("a secret of the build that is missing: got %v", err)
	}
}

// The same name can be a secret in one environment and plain in another.
func TestAnEnvironmentGoesBeforeTheApplication(t *testing.T) {
	c := &Config{
		Env: map[string]string{"A": "a", "B": "b"}, Secrets: []string{"S", "T"},
		Environments: map[string]Environment{
			"staging": {Env: map[string]string{"B": "other", "S": "plain"}, Secrets: []string{"A"}},
		},
	}
	if diff := cmp.Diff(map[string]string{"B": "other", "S": "plain"}, c.EnvOf("staging")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"A", "T"}, c.SecretsOf("staging")); diff != "" {
		t.Error(diff)
	}
}

func TestTheHostOfHealth(t *testing.T) {
	for _, test := range []struct {
		health Health
		hosts  []string
		want   string
	}{
		{Health{}, []string{"shop.example", "www.shop.example"}, "shop.example"},
		{Health{}, []string{"*.shop.example"}, "www.shop.example"},
		{Health{Host: "localhost"}, []string{"shop.example"}, "localhost"},
		{Health{}, nil, ""},
	} {
		c := &Config{Health: test.health, Environments: map[string]Environment{"production": {Hosts: test.hosts}}}
		if got := c.HealthHost("production"); got != test.want {
			t.Errorf("%v %v: got %q, want %q", test.health, test.hosts, got, test.want)
		}
	}
}

func TestWhichStatusIsHealthy(t *testing.T) {
	for _, test := range []struct {
		expected, got   int
		healthy, byHTTP bool
	}{
		{0, 200, true, true}, {0, 302, true, true}, {0, 400, false, true}, {0, 101, false, true},
		{204, 204, true, true}, {204, 200, false, true}, {401, 401, true, false}, {401, 200, false, false},
	} {
		h := Health{Status: test.expected}
		if h.Accepts(test.got) != test.healthy || h.ByHTTP() != test.byHTTP {
			t.Errorf("%+v: accepted %v, by HTTP %v", test, h.Accepts(test.got), h.ByHTTP())
		}
	}
}

func TestWritable(t *testing.T) {
	for text, want := range map[string]struct {
		writable Writable
		all      bool
	}{
		"":                   {nil, true},
		"writable: true":     {Writable{"/"}, true},
		"writable: [/]":      {Writable{"/"}, true},
		"writable: false":    {Writable{}, false},
		"writable: []":       {Writable{}, false},
		"writable: [/a, /b]": {Writable{"/a", "/b"}, false},
	} {
		c, err := Load(folder(t, map[string]string{File: minimal + text + "\n"}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.writable, c.Writable); diff != "" || c.Writable.All() != want.all {
			t.Errorf("%q: all of it: %v; %s", text, c.Writable.All(), diff)
		}
	}
}

func TestVariablesOfServices(t *testing.T) {
	c := &Config{Services: map[string]string{"cache": "valkey", "job-queue": "valkey"}}
	for service, want := range map[string][]string{
		"cache": {"CACHE_URL", "REDIS_URL"}, "job-queue": {"JOB_QUEUE_URL"},
	} {
		if diff := cmp.Diff(want, c.ServiceVariables(service)); diff != "" {
			t.Errorf("%s: %s", service, diff)
		}
	}
	c.Services = map[string]string{"redis": "valkey"}
	if diff := cmp.Diff([]string{"REDIS_URL"}, c.ServiceVariables("redis")); diff != "" {
		t.Error(diff)
	}
}

func TestGiven(t *testing.T) {
	c := &Config{Services: map[string]string{"cache": "valkey"}, Environments: map[string]Environment{"production": {Database: Postgres}, "staging": {Database: SQLite}}}
	service := map[string]string{}
	for _, name := range []string{"CACHE_URL", "CACHE_HOST", "CACHE_PORT", "CACHE_PASSWORD", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"} {
		service[name] = "service cache"
	}
	staging := maps.Clone(service)
	staging["DATABASE_URL"] = "database"
	production := maps.Clone(staging)
	for _, name := range []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "POSTGRES_PASSWORD"} {
		production[name] = "database"
	}
	for environment, want := range map[string]map[string]string{"staging": staging, "production": production, "other": service} {
		if diff := cmp.Diff(want, c.Given(environment)); diff != "" {
			t.Errorf("%s: %s", environment, diff)
		}
	}
}

func TestDurations(t *testing.T) {
	var d Duration
	if err := d.UnmarshalText([]byte("1h30m")); err != nil || d.Seconds() != 5400 || d.String() != "1h30m0s" || time.Duration(d) != 90*time.Minute {
		t.Errorf("got %s, %v", d, err)
	}
	for _, bad := range []string{"", "10", "-1s", "0s", "999ms", "1.5s", "1d", "soon"} {
		if err := d.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
