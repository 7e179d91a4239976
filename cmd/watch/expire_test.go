package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"berth/internal/kube/own"
	"berth/internal/watch"
)

func TestOnlyWhatHasExpiredIsRemoved(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name, owner, expires string
		removed              bool
	}{
		{"expired", own.Manager, now.Add(-time.Second).Format(time.RFC3339), true},
		{"not yet", own.Manager, now.Add(time.Hour).Format(time.RFC3339), false},
		{"never", own.Manager, "", false},
		{"not a time", own.Manager, "soon", false},
		{"somebody else's", "helm", now.Add(-time.Hour).Format(time.RFC3339), false},
	} {
		object := &core.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{
			Name: "shop-preview-login", UID: "u", Labels: map[string]string{own.ManagedBy: test.owner}, Annotations: map[string]string{own.ExpiresAnnotation: test.expires},
		}}
		api, removed := apiWith(t, object)
		if err := removeExpired(t.Context(), api, "shop-preview-login", now.Add(time.Second), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if *removed != test.removed {
			t.Errorf("%s: removed is %v, want %v", test.name, *removed, test.removed)
		}
	}
	api, _ := apiWith(t, nil)
	if err := removeExpired(t.Context(), api, "gone", now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a namespace that is not there is no success")
	}
}

// apiWith is an API server with one namespace, or without; removed says whether that was
// removed.
func apiWith(t *testing.T, object *core.Namespace) (api *watch.API, removed *bool) {
	t.Helper()
	removed = new(bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if object == nil || r.URL.Path != "/api/v1/namespaces/"+object.Name {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
			return
		}
		*removed = *removed || r.Method == http.MethodDelete
		_ = json.NewEncoder(w).Encode(object)
	}))
	t.Cleanup(server.Close)
	api, err := watch.Connect(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return api, removed
}
