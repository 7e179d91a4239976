package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

func TestEnvironmentsKeepTheOrderOfTheFile(t *testing.T) {
	c, err := Load(folder(t, map[string]string{File: minimal}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.EnvironmentNames(); !cmp.Equal(got, []string{"staging", "production"}) {
		t.Errorf("got %v", got)
	}
	delete(c.Environments, "staging")
	if got := c.EnvironmentNames(); !cmp.Equal(got, []string{"production"}) {
		t.Errorf("after a change: got %v", got)
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

func TestHelmValuesAreLeftAsTheyAre(t *testing.T) {
	c, err := Load(folder(t, map[string]string{File: `
name: tiny
image: ghcr.io/me/tiny:1.0
port: 80
env: {DEBUG: true, LEVEL: 3}
environments:
  staging:
    hosts: [tiny.localhost]
    values: {resources: {limits: {cpu: 2, any: [1, a]}}}
`}), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": 2, "any": []any{1, "a"}}}}
	if diff := cmp.Diff(want, c.Environments["staging"].Values); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"DEBUG": "true", "LEVEL": "3"}, c.Env); diff != "" {
		t.Error(diff)
	}
}
