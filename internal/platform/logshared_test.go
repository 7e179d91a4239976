package platform

import (
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/config"
	"berth/internal/provider"
)

// An application that installs or removes the log agent of a cluster leaves what
// the agent does for other applications.
func TestTheLogAgentIsSharedByApplications(t *testing.T) {
	namespace := func(name string, going bool) *core.Namespace {
		n := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if going {
			n.DeletionTimestamp = &metav1.Time{}
		}
		return n
	}
	release := func(namespace, name string) *core.Secret {
		return &core.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "sh.helm.release.v1." + name + ".v1", Labels: map[string]string{"owner": "helm", "name": name},
		}}
	}
	l := &Logs{
		cluster: &provider.Cluster{},
		config:  &config.Config{Name: "shop", Environments: map[string]config.Environment{"staging": {}, "production": {}, "demo": {}}},
		client: fake.NewClientset(
			namespace("staging", false), release("staging", "shop"), release("staging", "shop-backup"),
			namespace("production", false), release("production", "shop"), release("production", "blog"),
			namespace("demo", false), release("demo", "shop-admin"), // an application, not a part of shop
			namespace("blog", false), release("blog", "blog"),
			namespace("old", true),
		),
	}
	present := &helmrelease.Release{Config: map[string]any{
		"namespaces": []any{"blog", "demo", "gone", "old", "production", "staging"},
	}}
	others, err := l.others(t.Context(), present)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"blog", "demo", "production"}; !slices.Equal(others, want) {
		t.Errorf("others are %v, want %v", others, want)
	}
	for _, c := range []struct {
		reads    []any
		concerns bool
	}{
		{[]any{"blog", "staging"}, true},
		{[]any{"blog", "gone"}, false}, // one that is gone is up to the command that installs the agent
		{nil, false},
	} {
		if got := l.concerns(&helmrelease.Release{Config: map[string]any{"namespaces": c.reads}}); got != c.concerns {
			t.Errorf("an agent that reads %v concerns shop: %v", c.reads, got)
		}
	}
	if !l.concerns(nil) {
		t.Error("what is left of an agent is no concern")
	}
	if others, err := l.others(t.Context(), nil); err != nil || others != nil {
		t.Errorf("where there is no agent: %v, %v", others, err)
	}
	got := l.part(nil, "collector:1", "", others).values["namespaces"].([]string)
	if want := []string{"blog", "demo", "production", "staging"}; !slices.Equal(got, want) {
		t.Errorf("the agent reads %v, want %v", got, want)
	}
}
