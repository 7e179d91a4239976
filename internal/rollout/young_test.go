package rollout

import (
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWorkerSettles tells how long a worker must have run beside a web that
// takes its time to start.
func TestWorkerSettles(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	began := now.Add(-time.Minute)
	both := []Workload{{"Deployment", "shop"}, {"Deployment", "worker"}}
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	run := func(pod *core.Pod, since metav1.Time) {
		pod.Status.ContainerStatuses = []core.ContainerStatus{{State: core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: since}}}}
	}
	tests := []struct {
		name string
		// webStart is how long the web took, worker how long ago it began.
		webStart, worker time.Duration
		want             string
	}{
		{"a web that starts at once", time.Second, 5 * time.Second, ""},
		{"a slow one", 20 * time.Second, 25 * time.Second, "worker: started 25s ago, settling"},
		{"a slow one, later", 20 * time.Second, 30 * time.Second, ""},
		{"a worker of before", 20 * time.Second, time.Hour, ""},
		{"a web that was away says nothing of its start", 24 * time.Hour, 91 * time.Second, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := scene()
			s.Deployments["worker"] = &apps.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "worker", UID: "w",
				Annotations: map[string]string{revisionAnnotation: "1"}}}
			s.replicaSets = append(s.replicaSets, apps.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
				Name: "worker-r1", UID: "rsw", Annotations: map[string]string{revisionAnnotation: "1"},
				OwnerReferences: controlledBy("Deployment", "worker", "w"),
			}})
			for i := range s.Pods {
				s.Pods[i].Spec.Containers = []core.Container{{ReadinessProbe: &core.Probe{}}}
				s.Pods[i].Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: ago(0)}}
				run(&s.Pods[i], ago(test.webStart))
			}
			run(s.add("worker-a", "rsw"), ago(test.worker))
			var got string
			for _, text := range s.young(both, began, now) {
				got += text
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
