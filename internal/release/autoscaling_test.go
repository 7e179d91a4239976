package release

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
	"berth/internal/progress"
)

func TestAutoscalingIsRefusedWhereNothingIsMeasured(t *testing.T) {
	w, c := newWorld(t)
	e := c.config.Environments["production"]
	e.Values = map[string]any{"autoscaling": map[string]any{"enabled": true}}
	c.config.Environments["production"] = e
	_, err := c.Deploy(t.Context(), "production", "good:1", progress.Discard)
	if !fault.IsUsage(err) || !strings.Contains(err.Error(), "no resource metrics") {
		t.Errorf("got %v", err)
	}
	w.clientset.Resources = append(w.clientset.Resources, &metav1.APIResourceList{GroupVersion: "metrics.k8s.io/v1beta1"})
	if err := c.scalable("production", e.Values); err != nil {
		t.Errorf("where they are: %v", err)
	}
}
