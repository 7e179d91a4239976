package ingress_test

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"berth/internal/ingress/controller"
)

const chartDir = "../../charts/ingress"

func TestChartLint(t *testing.T) {
	result := lint.RunAll(chartDir, nil, "ingress")
	for _, message := range result.Messages {
		if message.Severity >= support.WarningSev {
			t.Error(message)
		}
	}
}

// TestChartRender checks what the chart and the controller must agree on, and
// the promises of its security context.
func TestChartRender(t *testing.T) {
	values := map[string]any{"node": "berth-1", "http": "127.0.0.1:8081", "status": "[::1]:9000", "publicHTTPSPort": 443}
	files := renderChart(t, values)

	var class networkingv1.IngressClass
	decode(t, files["ingressclass.yaml"], &class)
	if class.Name != "nginx" || class.Spec.Controller != controller.Name {
		t.Errorf("IngressClass %s of %s", class.Name, class.Spec.Controller)
	}
	var deployment appsv1.Deployment
	decode(t, files["deployment.yaml"], &deployment)
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	args := strings.Join(container.Args, " ")
	for _, want := range []string{"-http=127.0.0.1:8081", "-https=127.0.0.1:8443", "-status=[::1]:9000", "-metrics=$(NODE_ADDRESS):10254", "-public-https-port=443"} {
		if !strings.Contains(args, want) {
			t.Errorf("arguments %q lack %s", args, want)
		}
	}
	probe := container.ReadinessProbe.HTTPGet
	if probe.Host != "::1" || probe.Port.IntValue() != 9000 {
		t.Errorf("probe of %s port %s", probe.Host, probe.Port.String())
	}
	if pod.NodeSelector["kubernetes.io/hostname"] != "berth-1" || !pod.HostNetwork {
		t.Errorf("node %v, host network %v", pod.NodeSelector, pod.HostNetwork)
	}
	if c := container.SecurityContext; !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || c.Capabilities.Drop[0] != "ALL" || !*pod.SecurityContext.RunAsNonRoot {
		t.Errorf("security context %+v", c)
	}
	if got := renderChart(t, nil)["deployment.yaml"]; strings.Contains(got, "nodeSelector") || strings.Contains(got, "-publish") {
		t.Errorf("defaults render\n%s", got)
	}
}

func renderChart(t *testing.T, values map[string]any) map[string]string {
	t.Helper()
	loaded, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(loaded, values, common.ReleaseOptions{Name: "ingress", Namespace: "ingress"}, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Render(loaded, all)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for name, content := range rendered {
		files[name[strings.LastIndex(name, "/")+1:]] = content
	}
	return files
}
