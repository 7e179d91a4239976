package charts

import (
	"bytes"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	"sigs.k8s.io/yaml"
)

// The API server finds metrics-server by its Service, and Pod Security lets its
// pod into a namespace of the strictest kind.
func TestMetricsServer(t *testing.T) {
	var apis [][]byte
	var others []byte
	for _, document := range bytes.Split(render(t, "metrics-server", "metrics-server", "metrics-server", map[string]any{}), []byte("---\n")) {
		if bytes.Contains(document, []byte("kind: APIService")) { // client-go has no type for it
			apis = append(apis, document)
			continue
		}
		others = append(append(others, "---\n"...), document...)
	}
	all := decode(t, others)
	var api struct {
		Metadata struct{ Name string }
		Spec     struct {
			Group, Version string
			Service        struct{ Name, Namespace string }
		}
	}
	if len(apis) != 1 {
		t.Fatalf("there are %d APIServices", len(apis))
	}
	if err := yaml.Unmarshal(apis[0], &api); err != nil {
		t.Fatal(err)
	}
	if api.Metadata.Name != "v1beta1.metrics.k8s.io" || api.Spec.Group != "metrics.k8s.io" || api.Spec.Version != "v1beta1" {
		t.Errorf("the APIService is %+v", api)
	}
	service := get[*corev1.Service](t, all, api.Spec.Service.Name)
	if service.Namespace != api.Spec.Service.Namespace {
		t.Errorf("the APIService looks in %s, the Service is in %s", api.Spec.Service.Namespace, service.Namespace)
	}
	pod := get[*appsv1.Deployment](t, all, "metrics-server").Spec.Template
	for label, value := range service.Spec.Selector {
		if pod.Labels[label] != value {
			t.Errorf("the Service selects %s=%s, which its pod is not", label, value)
		}
	}
	wantStandard(t, podsecurity.LevelRestricted, "the pod", pod)
}
