package release

import (
	"errors"
	"strings"
	"testing"

	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"berth/internal/fault"
	"berth/internal/progress"
)

func TestAutoscalingIsRefusedWhereNothingIsMeasured(t *testing.T) {
	for provider, hint := range map[string]string{"local": "berth up", "digitalocean": "berth init", "existing": "install metrics-server"} {
		w, c := newWorld(t)
		c.config.Provider = provider
		e := c.config.Environments["production"]
		e.Values = map[string]any{"autoscaling": map[string]any{"enabled": true}}
		c.config.Environments["production"] = e
		_, err := c.Deploy(t.Context(), "production", "good:1", progress.Discard)
		if !fault.IsUsage(err) || !strings.Contains(err.Error(), "no resource metrics") || !strings.Contains(fault.Hint(err), hint) {
			t.Errorf("%s: got %v, hint %q", provider, err, fault.Hint(err))
		}
		w.clientset.Resources = append(w.clientset.Resources, &metav1.APIResourceList{GroupVersion: "metrics.k8s.io/v1beta1"})
		if err := c.scalable("production", e.Values); err != nil {
			t.Errorf("where they are: %v", err)
		}
	}
}

// A source that starts is not one that is absent; trouble is told as such.
func TestAutoscalingWaitsForNoSourceOfMetrics(t *testing.T) {
	on := map[string]any{"autoscaling": map[string]any{"enabled": true}}
	for _, test := range []struct {
		answer error
		fine   bool
	}{
		{apierrors.NewServiceUnavailable("error trying to reach service"), true},
		{errors.New("connection refused"), false},
	} {
		w, c := newWorld(t)
		w.clientset.PrependReactor("get", "resource", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.answer })
		if err := c.scalable("production", on); (err == nil) != test.fine || fault.IsUsage(err) {
			t.Errorf("%v: got %v", test.answer, err)
		}
		if err := c.scalable("production", nil); err != nil {
			t.Errorf("without autoscaling: %v", err)
		}
	}
}

// What Helm no longer says stays as it is: the autoscaler begins with the pods
// that serve.
func TestTurningAutoscalingOnKeepsThePods(t *testing.T) {
	helm := metav1.ApplyOptions{FieldManager: "helm", Force: true}
	labels := map[string]string{"app": "shop"}
	manifest := func() *appsapply.DeploymentApplyConfiguration {
		return appsapply.Deployment("shop", "production").WithSpec(appsapply.DeploymentSpec().
			WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).
				WithSpec(coreapply.PodSpec().WithContainers(coreapply.Container().WithName("web").WithImage("good:1")))))
	}
	for _, kept := range []bool{true, false} {
		w, c := newWorld(t)
		deployments := w.clientset.AppsV1().Deployments("production")
		if err := c.keepReplicas(t.Context(), "production"); err != nil {
			t.Fatalf("before the first deploy: %v", err)
		}
		before := manifest()
		before.Spec.WithReplicas(4)
		if _, err := deployments.Apply(t.Context(), before, helm); err != nil {
			t.Fatal(err)
		}
		if kept {
			if err := c.keepReplicas(t.Context(), "production"); err != nil {
				t.Fatal(err)
			}
		}
		after, err := deployments.Apply(t.Context(), manifest(), helm)
		if err != nil {
			t.Fatal(err)
		}
		if got := after.Spec.Replicas; (got != nil && *got == 4) != kept {
			t.Errorf("kept %v: the Deployment has %v replicas", kept, got)
		}
	}
}

// An autoscaler that is there when Helm sets the number of pods sets another one.
func TestTurningAutoscalingOffRemovesTheAutoscalerFirst(t *testing.T) {
	for _, test := range []struct {
		about   string
		release string
		values  map[string]any
		left    bool
	}{
		{"off", "shop", nil, false},
		{"on", "shop", map[string]any{"autoscaling": map[string]any{"enabled": true}}, true},
		{"somebody else's", "", nil, true},
	} {
		t.Run(test.about, func(t *testing.T) {
			w, c := newWorld(t)
			scalers := w.clientset.AutoscalingV2().HorizontalPodAutoscalers("production")
			scaler := &autoscaling.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "production"}}
			if test.release != "" {
				scaler.Annotations = map[string]string{"meta.helm.sh/release-name": test.release}
			}
			if _, err := scalers.Create(t.Context(), scaler, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := c.handReplicas(t.Context(), "production", test.values); err != nil {
				t.Fatal(err)
			}
			if _, err := scalers.Get(t.Context(), "shop", metav1.GetOptions{}); apierrors.IsNotFound(err) == test.left {
				t.Errorf("the autoscaler: %v", err)
			}
		})
	}
}

func TestAnAutoscalerThatDoesNothingIsToldOf(t *testing.T) {
	w, c := newWorld(t)
	if text, err := c.autoscalerWarning(t.Context(), "production"); text != "" || err != nil {
		t.Errorf("without one: %q, %v", text, err)
	}
	scaler := &autoscaling.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "production"},
		Status: autoscaling.HorizontalPodAutoscalerStatus{Conditions: []autoscaling.HorizontalPodAutoscalerCondition{
			{Type: autoscaling.AbleToScale, Status: core.ConditionTrue},
			{Type: autoscaling.ScalingActive, Status: core.ConditionFalse, Reason: "FailedGetResourceMetric", Message: "no metrics returned"},
		}},
	}
	if _, err := w.clientset.AutoscalingV2().HorizontalPodAutoscalers("production").Create(t.Context(), scaler, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if text, err := c.autoscalerWarning(t.Context(), "production"); !strings.Contains(text, "no metrics returned") || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}
