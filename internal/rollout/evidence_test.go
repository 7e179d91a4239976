package rollout

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"berth/internal/kube"
)

func TestWarningsAreToldOnceNewestLast(t *testing.T) {
	began := time.Now()
	event := func(name, kind, object, reason, message string, after time.Duration) runtime.Object {
		return &core.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: name}, Type: kind, Reason: reason, Message: message,
			InvolvedObject: core.ObjectReference{Kind: "Pod", Name: object}, LastTimestamp: metav1.NewTime(began.Add(after))}
	}
	client := fake.NewClientset(
		event("1", "Warning", "shop-5d8c7b9f6d-x2x4z", "BackOff", "Back-off restarting container web in pod shop-5d8c7b9f6d-x2x4z", 5*time.Second),
		event("2", "Warning", "shop-5d8c7b9f6d-aaaaa", "BackOff", "Back-off restarting container web in pod shop-5d8c7b9f6d-aaaaa", 9*time.Second),
		event("3", "Warning", "shop-5d8c7b9f6d-aaaaa", "Unhealthy", "Readiness probe failed: connection refused", 3*time.Second),
		event("4", "Warning", "shop-1", "Old", "of an earlier deploy", -time.Hour),
		event("6", "Warning", "other-5d8c7b9f6d-x2x4z", "BackOff", "somebody else's", time.Second),
		event("5", "Normal", "shop-1", "Pulled", "nothing to warn of", time.Second))
	want := []string{
		"pod shop-5d8c7b9f6d-aaaaa: Unhealthy: Readiness probe failed: connection refused",
		"pod shop-5d8c7b9f6d-aaaaa: BackOff: Back-off restarting container web in pod shop-5d8c7b9f6d-aaaaa",
	}
	s, err := Take(t.Context(), kube.API{Interface: client}, "production")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, s.warnings([]Workload{{"Deployment", "shop"}}, nil, began)); diff != "" {
		t.Error(diff)
	}
}

func TestReasonsOfAllPodsAreToldOnce(t *testing.T) {
	got := alike([]Reason{
		{Object: "pod a", Pod: "a", Container: "web", Reason: "OOMKilled"},
		{Object: "pod b", Pod: "b", Container: "web", Reason: "OOMKilled"},
		{Object: "pod b", Pod: "b", Container: "init", Reason: "OOMKilled"},
	})
	if text := (&Error{got}).Error(); text != "pod a, container web: OOMKilled; pod b, container init: OOMKilled" {
		t.Errorf("got %q", text)
	}
}

// While a container restarts, the kubelet answers a request for its log with an
// apology in the place of lines.
func TestTheLogOfACrashIsAskedForAgain(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("previous") != "true" {
			return
		}
		if asked++; asked == 1 {
			fmt.Fprint(w, noLog+"containerd://0123")
			return
		}
		fmt.Fprint(w, "out of rope\ngiving up\n")
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	got := lastLines(t.Context(), kube.API{Interface: client}, "production", &Reason{Pod: "shop-a", Container: "web", Restarts: 2})
	if want := []string{"out of rope", "giving up"}; !slices.Equal(got, want) {
		t.Errorf("got the lines %q, want %q", got, want)
	}
}
