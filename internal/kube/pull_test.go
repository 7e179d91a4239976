package kube

import (
	"errors"
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestPullSecret(t *testing.T) {
	client := fake.NewClientset()
	s := Secret{Namespace: "production", Name: "shop-pull"}
	noLogin := errors.New("no login")
	for _, step := range []struct {
		what   string
		logins string
		err    error
		name   string // of the Secret that pods are to name
		holds  string
	}{
		{"everybody may pull", "", nil, "", ""},
		{"nobody has a login", "", noLogin, "", ""},
		{"a login", "one", nil, "shop-pull", "one"},
		{"another login", "two", nil, "shop-pull", "two"},
		{"by CI, which has none", "", noLogin, "shop-pull", "two"},
		{"made public", "", nil, "shop-pull", "two"},
	} {
		name, err := PullSecret(t.Context(), client, s, func() ([]byte, error) { return []byte(step.logins), step.err })
		if name != step.name || (err != nil) != (step.err != nil && step.name == "") {
			t.Errorf("%s: %q, %v", step.what, name, err)
		}
		found, err := client.CoreV1().Secrets("production").Get(t.Context(), "shop-pull", metav1.GetOptions{})
		if step.holds == "" {
			if err == nil {
				t.Errorf("%s: there is a Secret", step.what)
			}
			continue
		}
		if err != nil || string(found.Data[core.DockerConfigJsonKey]) != step.holds || found.Type != core.SecretTypeDockerConfigJson {
			t.Errorf("%s: %+v, %v", step.what, found, err)
		}
	}
	foreign := fake.NewClientset(&core.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "shop-pull"}})
	if name, err := PullSecret(t.Context(), foreign, s, func() ([]byte, error) { return nil, nil }); name != "" || err == nil {
		t.Errorf("somebody else's: %q, %v", name, err)
	}
}
