package charts

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	podsecurity "k8s.io/pod-security-admission/api"
)

func TestRenderMetrics(t *testing.T) {
	got := render(t, "metrics", "metrics", "metrics", readValues(t, "metrics"))
	wantGolden(t, "metrics.golden.yaml", got)
}

// It looks for nodes and for pods of the ingress, and at nothing else.
func TestMetricsMayOnlyLook(t *testing.T) {
	all := decode(t, render(t, "metrics", "metrics", "metrics", readValues(t, "metrics")))
	rules := slices.Concat(get[*rbacv1.ClusterRole](t, all, "metrics-metrics").Rules, get[*rbacv1.Role](t, all, "metrics-ingress").Rules)
	wantOnlyLooks(t, rules, "nodes", "nodes/metrics", "pods")
	if get[*rbacv1.Role](t, all, "metrics-ingress").Namespace != "ingress" {
		t.Error("it may look at pods elsewhere")
	}
	if has[*corev1.Secret](all) || has[*corev1.Service](all) {
		t.Error("there is a Secret, or a Service by which it could be reached")
	}
}

// Nobody reaches it but by pods/portforward: it listens on its loopback, and its policy
// lets nothing in.
func TestMetricsPod(t *testing.T) {
	all := decode(t, render(t, "metrics", "metrics", "metrics", readValues(t, "metrics")))
	deployment := get[*appsv1.Deployment](t, all, "metrics")
	if *deployment.Spec.Replicas != 1 || deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Error("two may run at a time, on one volume")
	}
	template := deployment.Spec.Template
	wantStandard(t, podsecurity.LevelRestricted, "the pod", template)
	container := template.Spec.Containers[0]
	if container.Resources.Limits.Memory().IsZero() {
		t.Error("memory is not bounded")
	}
	for _, want := range []string{"-httpListenAddr=127.0.0.1:8428", "-retentionPeriod=30d", "-memory.allowedBytes=64MiB"} {
		if !slices.Contains(container.Args, want) {
			t.Errorf("%[2]s is not among the arguments %[1]q", container.Args, want)
		}
	}
	network := get[*networkingv1.NetworkPolicy](t, all, "metrics")
	if !selects(t, &network.Spec.PodSelector, template.Labels) || !slices.Contains(network.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) || len(network.Spec.Ingress) > 0 {
		t.Errorf("the network lets somebody in: %+v", network.Spec)
	}
}

// Where another's ingress controller serves, it has nothing to do with any.
func TestMetricsWithoutAnIngress(t *testing.T) {
	rendered := string(render(t, "metrics", "metrics", "metrics", map[string]any{}))
	if strings.Contains(rendered, "ingress/token") || strings.Contains(rendered, "10254") || strings.Contains(rendered, "kind: Role\n") {
		t.Errorf("it looks for an ingress:\n%s", rendered)
	}
}
