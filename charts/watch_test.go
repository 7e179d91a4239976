package charts

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func TestRenderWatch(t *testing.T) {
	got := render(t, "watch", "watch", "watch", readValues(t, "watch"))
	wantGolden(t, "watch.golden.yaml", got)
}

// The watch looks and does nothing. What it may not even look at are Secrets, and
// nodes/proxy, by which commands can be run in pods.
func TestWatchMayOnlyLook(t *testing.T) {
	all := decode(t, render(t, "watch", "watch", "watch", readValues(t, "watch")))
	for _, rule := range get[*rbacv1.ClusterRole](t, all, "watch-watch").Rules {
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				t.Errorf("it may %s %v", verb, rule.Resources)
			}
		}
		for _, resource := range rule.Resources {
			for _, power := range []string{"*", "secrets", "configmaps", "proxy", "exec", "attach", "portforward"} {
				if strings.Contains(resource, power) {
					t.Errorf("it may look at %s", resource)
				}
			}
		}
	}
	if has[*corev1.Secret](all) {
		t.Error("a Secret is rendered")
	}
}

func TestWatchPods(t *testing.T) {
	all := decode(t, render(t, "watch", "watch", "watch", readValues(t, "watch")))
	deployment := get[*appsv1.Deployment](t, all, "watch")
	if *deployment.Spec.Replicas != 1 || deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Error("two may run at a time, and tell everything twice")
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	template := deployment.Spec.Template
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &metav1.ObjectMeta{Labels: template.Labels}, &template.Spec) {
		if !result.Allowed {
			t.Errorf("the pod is above the standard restricted: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	container := template.Spec.Containers[0]
	for _, variable := range container.Env {
		if variable.ValueFrom != nil {
			t.Errorf("%s comes by the environment, where it is easily shown", variable.Name)
		}
	}
	if container.Resources.Limits.Memory().IsZero() || container.LivenessProbe == nil {
		t.Error("memory is not bounded, or nobody looks whether it lives")
	}
	policy := get[*networkingv1.NetworkPolicy](t, all, "watch")
	if !selects(t, &policy.Spec.PodSelector, template.Labels) {
		t.Error("its own policy does not select the pod")
	}
}

func TestWatchSchemaDescribesValues(t *testing.T) {
	c, err := Load("watch")
	if err != nil {
		t.Fatal(err)
	}
	var top schema
	if err := json.Unmarshal(c.Schema, &top); err != nil {
		t.Fatal(err)
	}
	top.compare(t, "watch", c.Values)
}
