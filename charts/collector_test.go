package charts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// The golden file is also what the collector's own tests run with: see
// collector/agent_test.go.
func TestRenderCollector(t *testing.T) {
	got := render(t, "collector", "collector", "logging", readValues(t, "collector"))
	wantGolden(t, "collector.golden.yaml", got)
}

// An agent reads the logs of its node and has no power beyond that.
func TestCollectorPods(t *testing.T) {
	all := decode(t, render(t, "collector", "collector", "logging", readValues(t, "collector")))
	set := get[*appsv1.DaemonSet](t, all, "collector")
	pod := set.Spec.Template
	if pod.Spec.HostNetwork || pod.Spec.HostPID || pod.Spec.HostIPC {
		t.Error("the pod shares the node's network, processes or memory")
	}
	if len(pod.Spec.Containers) != 1 {
		t.Fatalf("there are %d containers", len(pod.Spec.Containers))
	}
	container := pod.Spec.Containers[0]
	security := container.SecurityContext
	if security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
		t.Error("the root file system can be written")
	}
	if security.AllowPrivilegeEscalation == nil || *security.AllowPrivilegeEscalation || security.Privileged != nil {
		t.Error("the process may gain privileges")
	}
	if len(security.Capabilities.Add) != 0 || len(security.Capabilities.Drop) != 1 || security.Capabilities.Drop[0] != "ALL" {
		t.Errorf("the process has capabilities: %+v", security.Capabilities)
	}
	if pod.Spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Error("system calls are not filtered")
	}
	if container.Resources.Limits.Memory().IsZero() || container.LivenessProbe == nil || container.StartupProbe == nil {
		t.Error("memory is not bounded, or nobody looks whether the agent lives")
	}
	for _, mount := range container.VolumeMounts {
		if mount.Name != "state" && !mount.ReadOnly {
			t.Errorf("%s can be written", mount.MountPath)
		}
		if (mount.Name == "logs" || mount.Name == "state") && mount.SubPathExpr != "$(NODE_NAME)" {
			t.Errorf("%s is shared by the nodes of a machine", mount.MountPath)
		}
	}
	if update := set.Spec.UpdateStrategy.RollingUpdate; update.MaxSurge.IntValue() != 0 {
		t.Error("two agents may run on one node")
	}
	policy := get[*networkingv1.NetworkPolicy](t, all, "collector")
	if !selects(t, &policy.Spec.PodSelector, pod.Labels) {
		t.Error("its own policy does not select the pod")
	}
	for _, rule := range get[*rbacv1.ClusterRole](t, all, "logging-collector").Rules {
		if !cmp.Equal(rule, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}) {
			t.Errorf("the agent may do more than ask for a pod: %+v", rule)
		}
	}
	if has[*corev1.Secret](all) {
		t.Error("a Secret is rendered")
	}
}

// Each sink is there when it is asked for, and its settings come from its own
// Secret.
func TestCollectorSinks(t *testing.T) {
	for _, test := range []struct{ values, sinks, secrets string }{
		{`{}`, "awss3", "logs-bucket logs-bucket"},
		{`{bucket: {enabled: false}, otlp: {secret: o}}`, "otlp_http", "o o o"},
		{`{bucket: {enabled: false}, frames: {secret: f}}`, "frames", "f f f"},
		{`{otlp: {secret: o}, frames: {secret: f}}`, "awss3 otlp_http frames", "logs-bucket logs-bucket o o o f f f"},
	} {
		all := decode(t, render(t, "collector", "collector", "logging", parse(t, test.values)))
		var config struct {
			Exporters map[string]any
			Service   struct {
				Pipelines map[string]struct{ Exporters []string }
			}
		}
		if err := yaml.Unmarshal([]byte(get[*corev1.ConfigMap](t, all, "collector").Data["config.yaml"]), &config); err != nil {
			t.Fatal(err)
		}
		sinks := config.Service.Pipelines["logs"].Exporters
		if got := strings.Join(sinks, " "); got != test.sinks || len(config.Exporters) != len(sinks) {
			t.Errorf("%s: the sinks are %s of %d, want %s", test.values, got, len(config.Exporters), test.sinks)
		}
		var secrets []string
		for _, variable := range get[*appsv1.DaemonSet](t, all, "collector").Spec.Template.Spec.Containers[0].Env {
			if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
				secrets = append(secrets, variable.ValueFrom.SecretKeyRef.Name)
			}
		}
		if got := strings.Join(secrets, " "); got != test.secrets {
			t.Errorf("%s: the Secrets are %s, want %s", test.values, got, test.secrets)
		}
	}
}

func TestCollectorRefusedValues(t *testing.T) {
	for _, test := range []struct{ name, values, want string }{
		{"no sink", `{bucket: {enabled: false}}`, "there is no sink"},
		{"no namespace", `{namespaces: []}`, "namespaces"},
		{"a pattern for a namespace", `{namespaces: ["*"]}`, "namespaces"},
		{"a prefix that is configuration", `{bucket: {prefix: "${env:HOME}"}}`, "prefix"},
		{"a relative folder", `{logs: {folder: pods}}`, "folder"},
		{"an unknown value", `{sinks: [bucket]}`, "sinks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Load("collector")
			if err != nil {
				t.Fatal(err)
			}
			_, err = renderChart(c, "collector", "logging", parse(t, test.values))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
}
