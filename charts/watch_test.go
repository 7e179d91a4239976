package charts

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	podsecurity "k8s.io/pod-security-admission/api"
)

func TestRenderWatch(t *testing.T) {
	got := render(t, "watch", "watch", "watch", readValues(t, "watch"))
	wantGolden(t, "watch.golden.yaml", got)
}

// The watch looks and does nothing. What it may not even look at are Secrets, and
// nodes/proxy, by which commands can be run in pods.
func TestWatchMayOnlyLook(t *testing.T) {
	all := decode(t, render(t, "watch", "watch", "watch", readValues(t, "watch")))
	wantOnlyLooks(t, get[*rbacv1.ClusterRole](t, all, "watch-watch").Rules,
		"pods", "pods/log", "nodes", "nodes/stats", "events", "deployments", "statefulsets", "daemonsets", "jobs", "cronjobs",
		"leases", "ingresses", "certificates")
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
	template := deployment.Spec.Template
	wantStandard(t, podsecurity.LevelRestricted, "the pod", template)
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
