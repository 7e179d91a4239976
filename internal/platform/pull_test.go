package platform

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/provider"
)

func TestPartsThatNotEverybodyMayPull(t *testing.T) {
	client := fake.NewClientset()
	cluster := &provider.Cluster{}
	wanted := func() part {
		return part{name: "collector", namespace: "logging", values: map[string]any{"image": map[string]any{"reference": "ghcr.io/me/collector:1"}}}
	}
	p := wanted()
	if err := p.pullWith(t.Context(), cluster, client); err != nil || !cmp.Equal(p.values, wanted().values) {
		t.Errorf("where nodes need nothing: %v, %v", p.values, err)
	}
	cluster.PullLogins = func(_ context.Context, references ...string) ([]byte, error) {
		if !cmp.Equal(references, []string{"ghcr.io/me/collector:1"}) {
			t.Errorf("asked for %q", references)
		}
		return []byte("{}"), nil
	}
	if err := p.pullWith(t.Context(), cluster, client); err != nil {
		t.Fatal(err)
	}
	if got := p.values["image"].(map[string]any)["pullSecrets"]; !cmp.Equal(got, []any{"collector-pull"}) {
		t.Errorf("got %v", got)
	}
	if _, err := client.CoreV1().Secrets("logging").Get(t.Context(), "collector-pull", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}
