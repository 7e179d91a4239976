package charts

import (
	"fmt"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/engine"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"
)

// The chart postgres alone makes a password once: an upgrade finds it in the
// cluster and keeps it, as the database knows no other.
func TestGeneratedPasswordIsKept(t *testing.T) {
	first := generatedSecret(t, lookups{fake.NewSimpleDynamicClient(scheme.Scheme)})
	if len(first.Data["password"]) != 32 {
		t.Fatalf("the password has %d characters, want 32", len(first.Data["password"]))
	}
	if first.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("the password goes with the release, and the data stays")
	}
	upgrade := generatedSecret(t, lookups{fake.NewSimpleDynamicClient(scheme.Scheme, first)})
	if string(upgrade.Data["password"]) != string(first.Data["password"]) {
		t.Error("an upgrade changes the password")
	}
	other := generatedSecret(t, lookups{fake.NewSimpleDynamicClient(scheme.Scheme)})
	if string(other.Data["password"]) == string(first.Data["password"]) {
		t.Error("two databases have the same password")
	}
}

func generatedSecret(t *testing.T, cluster lookups) *corev1.Secret {
	t.Helper()
	c, err := Load("postgres")
	if err != nil {
		t.Fatal(err)
	}
	options := common.ReleaseOptions{Name: "db", Namespace: "default", Revision: 1, IsInstall: true}
	values, err := util.ToRenderValues(c, map[string]any{}, options, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.RenderWithClientProvider(c, values, cluster)
	if err != nil {
		t.Fatal(err)
	}
	return get[*corev1.Secret](t, decode(t, []byte(rendered["postgres/templates/secret.yaml"])), "db-postgresql")
}

// lookups answers a template's lookup of Secrets.
type lookups struct{ *fake.FakeDynamicClient }

func (l lookups) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	gvr := corev1.SchemeGroupVersion.WithResource("secrets")
	if apiVersion != gvr.GroupVersion().String() || kind != "Secret" {
		return nil, false, fmt.Errorf("the chart looks up %s %s", apiVersion, kind)
	}
	return l.Resource(gvr), true, nil
}
