package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
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
		event("5", "Normal", "shop-1", "Pulled", "nothing to warn of", time.Second))
	want := []string{
		"pod shop-5d8c7b9f6d-aaaaa: Unhealthy: Readiness probe failed: connection refused",
		"pod shop-5d8c7b9f6d-aaaaa: BackOff: Back-off restarting container web in pod shop-5d8c7b9f6d-aaaaa",
	}
	if diff := cmp.Diff(want, warnings(context.Background(), client, "production", began)); diff != "" {
		t.Error(diff)
	}
}

func TestReasonsOfAllPodsAreToldOnce(t *testing.T) {
	got := alike([]Reason{
		{Object: "pod a", pod: "a", Container: "web", Reason: "OOMKilled"},
		{Object: "pod b", pod: "b", Container: "web", Reason: "OOMKilled"},
		{Object: "pod b", pod: "b", Container: "init", Reason: "OOMKilled"},
	})
	if text := (&trouble{got}).Error(); text != "pod a, container web: OOMKilled; pod b, container init: OOMKilled" {
		t.Errorf("got %q", text)
	}
}

func TestFailedSaysWhatServesNow(t *testing.T) {
	cause := errors.New("no route to host")
	tests := []struct {
		failed *Failed
		want   string
	}{
		{&Failed{Environment: "production", Revision: 1, Cause: cause}, "no route to host; nothing served before"},
		{&Failed{Environment: "production", Revision: 5, Cause: cause, To: 3, Back: 6}, "no route to host; revision 3 serves again (as revision 6)"},
		{&Failed{Environment: "production", Revision: 5, Cause: cause, To: 3, Stuck: errors.New("gone")}, "no route to host; going back to revision 3 failed too: gone"},
		{&Failed{Environment: "production", Revision: 5, Cause: fmt.Errorf("wait: %w", context.Canceled), To: 3, Back: 6}, "interrupted before it served; revision 3"},
	}
	for _, test := range tests {
		if got := test.failed.Error(); !strings.Contains(got, test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if !errors.Is(tests[0].failed, cause) {
		t.Error("the cause is not in the chain")
	}
}

// While a container restarts, the kubelet answers a request for its log with an
// apology in the place of lines.
func TestTheLogOfACrashIsAskedForAgain(t *testing.T) {
	api, c := logged(t)
	api.add("shop-a", "")
	api.logs["shop-a/previous"] = noLog + "containerd://0123"
	time.AfterFunc(200*time.Millisecond, func() {
		api.mu.Lock()
		defer api.mu.Unlock()
		api.logs["shop-a/previous"] = "out of rope\ngiving up\n"
	})
	got := lastLines(t.Context(), c.kube, "production", &Reason{pod: "shop-a", Container: "web", Restarts: 2})
	if want := []string{"out of rope", "giving up"}; !slices.Equal(got, want) {
		t.Errorf("got the lines %q, want %q", got, want)
	}
}
