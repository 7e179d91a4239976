package main

import (
	"log/slog"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/kube"
)

func TestOnlyWhatHasExpiredIsRemoved(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name, owner, expires string
		removed              bool
	}{
		{"expired", kube.Manager, now.Add(-time.Second).Format(time.RFC3339), true},
		{"not yet", kube.Manager, now.Add(time.Hour).Format(time.RFC3339), false},
		{"never", kube.Manager, "", false},
		{"not a time", kube.Manager, "soon", false},
		{"somebody else's", "helm", now.Add(-time.Hour).Format(time.RFC3339), false},
	} {
		client := fake.NewClientset(&core.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: "shop-preview-login", UID: "u", Labels: map[string]string{kube.ManagedBy: test.owner}, Annotations: map[string]string{kube.ExpiresAnnotation: test.expires},
		}})
		if err := removeExpired(t.Context(), client, "shop-preview-login", now.Add(time.Second), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		_, err := client.CoreV1().Namespaces().Get(t.Context(), "shop-preview-login", metav1.GetOptions{})
		if apierrors.IsNotFound(err) != test.removed {
			t.Errorf("%s: removed is %v, want %v", test.name, apierrors.IsNotFound(err), test.removed)
		}
	}
	if err := removeExpired(t.Context(), fake.NewClientset(), "gone", now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a namespace that is not there is no success")
	}
}
