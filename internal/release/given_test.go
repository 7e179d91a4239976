package release

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
)

func TestCompare(t *testing.T) {
	deployed := settings(core.Container{
		EnvFrom: []core.EnvFromSource{{SecretRef: &core.SecretEnvSource{LocalObjectReference: core.LocalObjectReference{Name: "shop-env"}}}},
		Env: []core.EnvVar{
			{Name: "PRICE", Value: "5$$"},
			{Name: "OLD", Value: "1"},
			{Name: "POSTGRES_PASSWORD", ValueFrom: &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{
				LocalObjectReference: core.LocalObjectReference{Name: "shop-postgresql"}, Key: "password"}}},
		},
	}, map[string]map[string][]byte{"shop-env": {"TOKEN": []byte("yes"), "OTHER": []byte("yes")}, "shop-postgresql": {"password": []byte("secret")}})
	next := map[string]setting{
		"PRICE": {value: "6$"}, "NEW": {value: "1"}, "TOKEN": {"no", true, "shop-env"}, "OTHER": {"yes", true, "shop-env"},
		"POSTGRES_PASSWORD": {"secret", true, "shop-postgresql"},
	}
	from := func(_ string, s setting) string { return s.of }
	got := compare(deployed, next, from, "salt")
	want := []Variable{
		{Name: "NEW", Value: "1", Now: Added},
		{Name: "OLD", Value: "1", Now: Removed},
		{Name: "OTHER", Secret: true, Checksum: shortSum("salt", "OTHER", "yes"), From: "shop-env"},
		{Name: "POSTGRES_PASSWORD", Secret: true, Checksum: shortSum("salt", "POSTGRES_PASSWORD", "secret"), From: "shop-postgresql"},
		{Name: "PRICE", Value: "5$", Now: Changed},
		{Name: "TOKEN", Secret: true, Checksum: shortSum("salt", "TOKEN", "yes"), From: "shop-env", Now: Changed},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// A checksum says nothing without the key, nor that two secrets are alike.
	if shortSum("salt", "TOKEN", "yes") == shortSum("salt", "OTHER", "yes") || shortSum("salt", "TOKEN", "yes") == shortSum("pepper", "TOKEN", "yes") {
		t.Error("values can be recognised by their checksums")
	}
}

func TestGiven(t *testing.T) {
	_, c := newWorld(t)
	if _, err := c.Given(context.Background(), "production", ""); !errors.Is(err, ErrNotDeployed) {
		t.Errorf("got %v", err)
	}
	c.config.Env = map[string]string{"LOG_LEVEL": "info"}
	mustDeploy(t, c, "good:1")
	given, err := c.Given(context.Background(), "production", "")
	if err != nil {
		t.Fatal(err)
	}
	if given.Differs || given.Revision != 1 || given.Image != "good:1" {
		t.Errorf("right after a deploy: %+v", given)
	}
	from := map[string]string{}
	for _, v := range given.Variables {
		from[v.Name] = v.From
		if v.Now != Same || v.Secret && v.Value != "" {
			t.Errorf("%+v", v)
		}
	}
	for name, want := range map[string]string{"LOG_LEVEL": "berth.yaml", "TOKEN": ".env", "PORT": "berth"} {
		if from[name] != want {
			t.Errorf("%s comes from %q, want %s", name, from[name], want)
		}
	}

	c.config.Env["LOG_LEVEL"] = "debug"
	c.config.DotEnv["TOKEN"] = "another very secret value"
	given, err = c.Given(context.Background(), "production", "web")
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]Difference{}
	for _, v := range given.Variables {
		if v.Now != Same {
			changed[v.Name] = v.Now
		}
	}
	if want := map[string]Difference{"LOG_LEVEL": Changed, "TOKEN": Changed}; !cmp.Equal(changed, want) || !given.Differs {
		t.Errorf("changed %v, differs %v", changed, given.Differs)
	}
	// Asking changes nothing.
	if again := mustDeploy(t, c, "good:1"); again.Number != 2 {
		t.Errorf("the deploy made %+v", again)
	}
}
