package release

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/progress"
)

// A private image is pulled by the operator's own login, which every deploy
// brings up to date; without one nothing is waited for.
func TestImagesThatNotEverybodyMayPull(t *testing.T) {
	w, c := newWorld(t)
	e := c.config.Environments["production"]
	e.Database = config.Postgres
	c.config.Environments["production"] = e
	c.config.Services = map[string]string{"cache": "valkey"}
	c.cluster.Services = map[string]string{"valkey": "ghcr.io/me/valkey:1"}
	var asked []string
	login, failure := "", errors.New("no login for ghcr.io")
	c.cluster.PullLogins = func(_ context.Context, references ...string) ([]byte, error) {
		asked = references
		if failure != nil {
			return nil, failure
		}
		return []byte(login), nil
	}
	_, err := c.Deploy(t.Context(), "production", "good:1", progress.Discard)
	if !errors.Is(err, failure) || errors.As(err, new(*Failed)) {
		t.Fatalf("without a login: %v", err)
	}
	if !slices.Equal(asked, []string{"good:1", "ghcr.io/me/valkey:1"}) {
		t.Errorf("asked for %q", asked)
	}
	failure = nil
	for _, login = range []string{"one", "two"} {
		names, _, err := c.secrets(t.Context(), "production", "good:1", e, progress.Discard)
		if err != nil || names.pull != "shop-pull" {
			t.Fatalf("%+v, %v", names, err)
		}
		secret, err := w.clientset.CoreV1().Secrets("production").Get(t.Context(), "shop-pull", metav1.GetOptions{})
		if err != nil || string(secret.Data[core.DockerConfigJsonKey]) != login {
			t.Errorf("the Secret holds %v, %v", secret, err)
		}
		vals := values(c.config, "production", c.cluster, "good:1", names)
		for _, table := range []any{vals["image"], vals["services"], vals["postgresql"].(map[string]any)["image"]} {
			if got := table.(map[string]any)["pullSecrets"]; !cmp.Equal(got, []any{"shop-pull"}) {
				t.Errorf("got %v in %v", got, table)
			}
		}
	}
}
