package rollout

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	testingclient "k8s.io/client-go/testing"

	"berth/internal/kube"
)

// pullEvent is the kubelet's about the image of a pod's container web.
func pullEvent(pod, reason string, at time.Time) core.Event {
	return core.Event{
		ObjectMeta: metav1.ObjectMeta{Name: pod + "." + reason + at.Format(".150405")}, Reason: reason, LastTimestamp: metav1.NewTime(at),
		InvolvedObject: core.ObjectReference{Kind: "Pod", Name: pod, UID: types.UID(pod), FieldPath: "spec.containers{web}"},
	}
}

func TestPulling(t *testing.T) {
	at := func(seconds int) time.Time { return time.Date(2026, 1, 1, 0, 0, seconds, 0, time.UTC) }
	event := func(reason string, seconds int) core.Event { return pullEvent("shop-1", reason, at(seconds)) }
	other := event("Pulling", 9)
	other.InvolvedObject.UID = "shop-2"
	sidecar := event("Pulling", 9)
	sidecar.InvolvedObject.FieldPath = "spec.containers{proxy}"
	for name, test := range map[string]struct {
		waits  string // what the container waits for; empty where it runs
		events []core.Event
		want   bool
	}{
		"being fetched":                  {"ContainerCreating", []core.Event{event("Pulling", 1)}, true},
		"after an init container":        {"PodInitializing", []core.Event{event("Pulling", 1)}, true},
		"fetched":                        {"ContainerCreating", []core.Event{event("Pulling", 1), event("Pulled", 5)}, false},
		"fetched within the same second": {"ContainerCreating", []core.Event{event("Pulled", 1), event("Pulling", 1)}, false},
		"failed":                         {"ContainerCreating", []core.Event{event("Pulling", 1), event("Failed", 5)}, false},
		"fetched once more":              {"ContainerCreating", []core.Event{event("Failed", 5), event("Pulling", 20)}, true},
		"it will not come":               {"ImagePullBackOff", []core.Event{event("Pulling", 1)}, false},
		"it runs":                        {"", []core.Event{event("Pulling", 1)}, false},
		"a volume is waited for":         {"ContainerCreating", []core.Event{event("FailedMount", 1)}, false},
		"another pod's image":            {"ContainerCreating", []core.Event{other}, false},
		"another container's image":      {"ContainerCreating", []core.Event{sidecar}, false},
	} {
		c := core.ContainerStatus{Name: "web"}
		if test.waits != "" {
			c.State.Waiting = &core.ContainerStateWaiting{Reason: test.waits}
		}
		pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop-1", UID: "shop-1"}, Status: core.PodStatus{ContainerStatuses: []core.ContainerStatus{c}}}
		if got := Pulling(pod, test.events); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// The deadline of a wait is not for downloads.
func TestADownloadIsWaitedFor(t *testing.T) {
	s := scene()
	s.fail("shop-r2-a", "ContainerCreating", 0, time.Now())
	var objects []runtime.Object
	for i := range s.Pods {
		objects = append(objects, &s.Pods[i])
	}
	for i := range s.replicaSets {
		objects = append(objects, &s.replicaSets[i])
	}
	client := fake.NewClientset(append(objects, s.Deployments["shop"])...)
	// The image has come at the tenth look, and nothing gets ready after that.
	var looks atomic.Int32
	client.PrependReactor("list", "events", func(testingclient.Action) (bool, runtime.Object, error) {
		list := &core.EventList{Items: []core.Event{pullEvent("shop-r2-a", "Pulling", time.Now().Add(-time.Minute))}}
		if looks.Add(1) > 10 {
			list.Items = append(list.Items, pullEvent("shop-r2-a", "Pulled", time.Now()))
		}
		return true, list, nil
	})
	var said []string
	r := Rollout{
		Client: kube.API{Interface: client}, Workloads: []Workload{{"Deployment", "shop"}}, Poll: 30 * time.Millisecond, Deadline: 100 * time.Millisecond,
		Detail: func(text string) { said = append(said, text) },
	}
	err := r.Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ContainerCreating") || looks.Load() <= 10 {
		t.Errorf("after %d looks: %v", looks.Load(), err)
	}
	if !slices.Contains(said, "shop: 1 of 2 pods ready, an image is being pulled") {
		t.Errorf("it said %q", said)
	}
}
