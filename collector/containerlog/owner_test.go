package containerlog

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOwnerOf(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		what       string
		kind, name string
		controller *bool
		want       owner
	}{
		{"a Deployment's", "ReplicaSet", "realworld-7d9c6bf5d", &yes, owner{"k8s.deployment.name", "realworld"}},
		{"a bare ReplicaSet's", "ReplicaSet", "realworld", &yes, owner{}},
		{"a StatefulSet's", "StatefulSet", "postgres", &yes, owner{"k8s.statefulset.name", "postgres"}},
		{"a Job's", "Job", "backup-29384", &yes, owner{}},
		{"what has another controller", "ReplicaSet", "realworld-7d9c6bf5d", &no, owner{}},
	} {
		pod := &metav1.ObjectMeta{
			Labels:          map[string]string{"pod-template-hash": "7d9c6bf5d"},
			OwnerReferences: []metav1.OwnerReference{{Kind: test.kind, Name: test.name, Controller: test.controller}},
		}
		if got := ownerOf(pod); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.what, got, test.want)
		}
	}
	if got := ownerOf(&metav1.ObjectMeta{}); got != (owner{}) {
		t.Errorf("a pod of nobody has %+v", got)
	}
}

// The API server is asked once for each pod, not at all for a while after it has
// failed, and not believed about another pod of the same name.
func TestOwners(t *testing.T) {
	asked, status := 0, http.StatusOK
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != "/api/v1/namespaces/production/pods/postgres-0" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, `{"metadata":{"uid":"1","ownerReferences":[{"kind":"StatefulSet","name":"postgres","controller":true}]}}`)
	}))
	defer api.Close()
	o := &owners{client: api.Client(), server: api.URL, log: zap.NewNop(), known: map[string]owner{}}
	mine, stranger, gone := pod{namespace: "production", name: "postgres-0", uid: "1"}, pod{namespace: "production", name: "postgres-0", uid: "2"}, pod{namespace: "production", name: "x", uid: "3"}
	check := func(what string, p pod, name string, requests int) {
		t.Helper()
		if got := o.of(p); got.name != name || asked != requests {
			t.Errorf("%s: the owner is %+v after %d requests, want %q after %d", what, got, asked, name, requests)
		}
	}
	status = http.StatusForbidden
	check("refused", mine, "", 1)
	check("refused a moment ago", mine, "", 1)
	status, o.resume = http.StatusOK, time.Time{}
	check("first", mine, "postgres", 2)
	check("again", mine, "postgres", 2)
	check("another pod of that name", stranger, "", 3)
	check("gone", gone, "", 4)
	check("gone, again", gone, "", 4)
	api.Close()
	check("known while the server is away", mine, "postgres", 4)
	check("unknown while the server is away", pod{uid: "4"}, "", 4)

	none, err := newOwners("", zap.NewNop())
	if err != nil || none.of(mine) != (owner{}) {
		t.Errorf("without credentials: %+v, %v", none.of(mine), err)
	}
}

func TestOwnersOutsideOfACluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := newOwners(t.TempDir(), zap.NewNop()); err == nil {
		t.Error("an API server is found where there is none")
	}
}
