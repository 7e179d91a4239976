package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestPodReasons(t *testing.T) {
	waiting := func(reason, message string) core.ContainerStatus {
		return core.ContainerStatus{Name: "web", State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	crashed := func(restarts int32, end core.ContainerStateTerminated) core.ContainerStatus {
		c := waiting("CrashLoopBackOff", "back-off 20s restarting failed container")
		c.RestartCount, c.LastTerminationState.Terminated = restarts, &end
		return c
	}
	tests := []struct {
		name   string
		status core.PodStatus
		want   string
	}{
		{"running", core.PodStatus{ContainerStatuses: []core.ContainerStatus{{Name: "web", Ready: true}}}, ""},
		{"being made", core.PodStatus{ContainerStatuses: []core.ContainerStatus{waiting("ContainerCreating", "")}}, ""},
		{"one crash may be an accident", core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			crashed(1, core.ContainerStateTerminated{ExitCode: 1, Reason: "Error"})}}, ""},
		{"crashing", core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			crashed(2, core.ContainerStateTerminated{ExitCode: 1, Reason: "Error"})}},
			"pod shop-1, container web: CrashLoopBackOff, exit code 1, 2 restarts"},
		{"ending well again and again", core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			crashed(3, core.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"})}},
			"pod shop-1, container web: CrashLoopBackOff, exit code 0, 3 restarts"},
		{"out of memory", core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			crashed(2, core.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})}},
			"pod shop-1, container web: OOMKilled, exit code 137 (SIGKILL), 2 restarts"},
		{"killed by a fault of its own", core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			crashed(4, core.ContainerStateTerminated{ExitCode: 139, Reason: "Error", Message: "stack of main\n"})}},
			"pod shop-1, container web: CrashLoopBackOff, exit code 139 (SIGSEGV), 4 restarts: stack of main"},
		{"no such command", core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			crashed(2, core.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: `exec: "server": not found`})}},
			`pod shop-1, container web: StartError, exit code 128, 2 restarts: exec: "server": not found`},
		{"crashed before, up again", core.PodStatus{ContainerStatuses: []core.ContainerStatus{{Name: "web", Ready: true, RestartCount: 7,
			LastTerminationState: core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: 1}}}}}, ""},
		{"in an init container", core.PodStatus{
			InitContainerStatuses: []core.ContainerStatus{crashed(2, core.ContainerStateTerminated{ExitCode: 3, Reason: "Error"})},
			ContainerStatuses:     []core.ContainerStatus{waiting("PodInitializing", "")}},
			"pod shop-1, container web: CrashLoopBackOff, exit code 3, 2 restarts"},
		{"image not on the node", core.PodStatus{ContainerStatuses: []core.ContainerStatus{waiting("ErrImageNeverPull", "not present")}},
			"pod shop-1, container web: ErrImageNeverPull: not present"},
		{"image was not pulled", core.PodStatus{ContainerStatuses: []core.ContainerStatus{waiting("ErrImagePull", "timeout")}},
			"pod shop-1, container web: ErrImagePull: timeout"},
		{"image cannot be pulled", core.PodStatus{ContainerStatuses: []core.ContainerStatus{waiting("ImagePullBackOff", "not found")}},
			"pod shop-1, container web: ImagePullBackOff: not found"},
		{"no such Secret", core.PodStatus{ContainerStatuses: []core.ContainerStatus{waiting("CreateContainerConfigError", `secret "x" not found`)}},
			`pod shop-1, container web: CreateContainerConfigError: secret "x" not found`},
		{"no node", core.PodStatus{Conditions: []core.PodCondition{{Type: core.PodScheduled, Status: core.ConditionFalse,
			Reason: "Unschedulable", Message: "0/2 nodes are available: 2 Insufficient memory."}}},
			"pod shop-1: Unschedulable: 0/2 nodes are available: 2 Insufficient memory."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop-1"}, Status: test.status}
			if got := (&Error{PodReasons(pod)}).Error(); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// scene is a namespace with the Deployment shop, of two pods each revision.
func scene() *Snapshot {
	two := int32(2)
	d := &apps.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "d", Generation: 2, Annotations: map[string]string{revisionAnnotation: "2"}},
		Spec:       apps.DeploymentSpec{Replicas: &two},
		Status:     apps.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
	}
	s := &Snapshot{
		Deployments:  map[string]*apps.Deployment{"shop": d},
		statefulSets: map[string]*apps.StatefulSet{},
		services:     []core.Service{{Spec: core.ServiceSpec{Selector: map[string]string{"app": "shop"}}}},
	}
	for _, revision := range []string{"1", "2"} {
		s.replicaSets = append(s.replicaSets, apps.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Name: "shop-r" + revision, UID: types.UID("rs" + revision), Annotations: map[string]string{revisionAnnotation: revision},
			OwnerReferences: controlledBy("Deployment", "shop", "d"),
		}})
	}
	s.add("shop-r2-a", "rs2")
	s.add("shop-r2-b", "rs2")
	return s
}

func controlledBy(kind, name string, uid types.UID) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{Kind: kind, Name: name, UID: uid, Controller: &yes}}
}

// add puts a ready pod, which a Service sends requests to, into a sight.
func (s *Snapshot) add(name string, owner types.UID) *core.Pod {
	yes := true
	s.Pods = append(s.Pods, core.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{"app": "shop"}, OwnerReferences: controlledBy("", "", owner)},
		Status: core.PodStatus{Phase: core.PodRunning, Conditions: []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}},
			ContainerStatuses: []core.ContainerStatus{{Name: "web", Ready: true}}},
	})
	s.slices = append(s.slices, discovery.EndpointSlice{Endpoints: []discovery.Endpoint{{
		TargetRef: &core.ObjectReference{Kind: "Pod", Name: name}, Conditions: discovery.EndpointConditions{Ready: &yes},
	}}})
	return &s.Pods[len(s.Pods)-1]
}

// withDatabase adds a StatefulSet that is ready, or not yet.
func (s *Snapshot) withDatabase(ready bool) *Snapshot {
	one := int32(1)
	set := &apps.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-postgresql", UID: "db", Generation: 1},
		Spec:       apps.StatefulSetSpec{Replicas: &one},
		Status:     apps.StatefulSetStatus{ObservedGeneration: 1, UpdateRevision: "v1", UpdatedReplicas: 1},
	}
	s.statefulSets[set.Name] = set
	pod := s.add("shop-postgresql-0", "db")
	pod.Labels = map[string]string{apps.ControllerRevisionHashLabelKey: "v1"}
	if ready {
		set.Status.AvailableReplicas = 1
	} else {
		pod.Status.Conditions = nil
	}
	return s
}

func (s *Snapshot) pod(name string) *core.Pod {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			return &s.Pods[i]
		}
	}
	panic(name)
}

// fail makes a pod's container wait for a reason, after some crashes.
func (s *Snapshot) fail(name, reason string, crashes int32, started time.Time) {
	pod := s.pod(name)
	pod.CreationTimestamp = metav1.Now()
	pod.Status.Conditions = nil
	c := core.ContainerStatus{Name: "web", RestartCount: crashes,
		State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason}}}
	if crashes > 0 {
		c.LastTerminationState.Terminated = &core.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: metav1.NewTime(started)}
	}
	pod.Status.ContainerStatuses = []core.ContainerStatus{c}
}

func TestServingMeansTheNewPodsAndNoOthers(t *testing.T) {
	shop := Workload{"Deployment", "shop"}
	tests := []struct {
		name   string
		change func(*Snapshot)
		want   string
	}{
		{"serving", func(*Snapshot) {}, ""},
		{"not there", func(s *Snapshot) { delete(s.Deployments, "shop") }, "deployment shop is not there"},
		{"not seen by the controller yet", func(s *Snapshot) { s.Deployments["shop"].Generation = 3 }, "shop is being taken up"},
		{"no ReplicaSet yet", func(s *Snapshot) { s.Deployments["shop"].Annotations[revisionAnnotation] = "3" }, "shop is being taken up"},
		{"one not ready", func(s *Snapshot) { s.pod("shop-r2-b").Status.Conditions = nil }, "shop: 1 of 2 pods ready"},
		{"ready pods of the last revision do not count", func(s *Snapshot) {
			s.Pods = s.Pods[:1]
			s.add("shop-r1-a", "rs1")
		}, "shop: 1 of 2 pods ready"},
		{"one gets no requests yet", func(s *Snapshot) { s.slices = s.slices[:1] }, "shop: 1 of 2 pods get requests"},
		{"no Service wants them", func(s *Snapshot) { s.slices, s.services = nil, nil }, ""},
		{"an old pod still serves", func(s *Snapshot) { s.add("shop-r1-a", "rs1") }, "shop: 2 of 2 pods ready, 1 pod of the last revision leaving"},
		{"an old pod is on its way out", func(s *Snapshot) {
			now := metav1.Now()
			s.add("shop-r1-a", "rs1").DeletionTimestamp = &now
		}, ""},
		{"not ready for long enough", func(s *Snapshot) { s.Deployments["shop"].Status.AvailableReplicas = 1 }, "shop: 2 of 2 pods ready, settling"},
		{"somebody else's pod", func(s *Snapshot) { s.add("other-1", "rs-other") }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := scene()
			test.change(s)
			if got := s.Missing(shop); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDatabaseMustBeReadyToo(t *testing.T) {
	db := Workload{"StatefulSet", "shop-postgresql"}
	if got := scene().withDatabase(true).Missing(db); got != "" {
		t.Errorf("ready: %q", got)
	}
	if got := scene().withDatabase(false).Missing(db); got != "shop-postgresql: 0 of 1 pods ready" {
		t.Errorf("not ready: %q", got)
	}
}

// TestGrace tells what ends a rollout at once, what is tolerated for a while, and
// what is not the application's fault.
func TestGrace(t *testing.T) {
	began := time.Now()
	all := []Workload{{"Deployment", "shop"}, {"StatefulSet", "shop-postgresql"}}
	// look is what is seen at some time after the beginning.
	type looked struct {
		after    time.Duration
		snapshot *Snapshot
		want     string
	}
	failing := func(reason string, crashes int32) *Snapshot {
		s := scene()
		s.fail("shop-r2-a", reason, crashes, began)
		return s
	}
	crashing := func(ready bool, started time.Duration) *Snapshot {
		s := scene().withDatabase(ready)
		s.fail("shop-r2-a", "CrashLoopBackOff", 3, began.Add(started))
		return s
	}
	old := func(crashes int32) *Snapshot {
		s := failing("CrashLoopBackOff", crashes)
		s.pod("shop-r2-a").CreationTimestamp = metav1.NewTime(began.Add(-time.Hour))
		return s
	}
	exceeded := func(s *Snapshot) *Snapshot {
		s.pod("shop-r2-a").Status.Conditions = nil
		s.pod("shop-r2-a").Status.ContainerStatuses = []core.ContainerStatus{{Name: "web", State: core.ContainerState{Running: &core.ContainerStateRunning{}}}}
		s.Deployments["shop"].Status.Conditions = []apps.DeploymentCondition{{Type: apps.DeploymentProgressing,
			Status: core.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
		return s
	}
	slow := func(fetching bool) *Snapshot {
		s := exceeded(scene())
		limit := int32(300)
		s.Deployments["shop"].Spec.ProgressDeadlineSeconds = &limit
		if fetching {
			s.fail("shop-r2-a", "ContainerCreating", 0, began)
			s.events = []core.Event{pullEvent("shop-r2-a", "Pulling", began)}
		}
		return s
	}
	refused := func() *Snapshot {
		s := scene()
		s.Deployments["shop"].Status.Conditions = []apps.DeploymentCondition{{Type: apps.DeploymentReplicaFailure,
			Status: core.ConditionTrue, Reason: "FailedCreate", Message: `pods "shop-" is forbidden: exceeded quota`}}
		return s
	}
	refusedDatabase := func() *Snapshot {
		s := scene().withDatabase(false)
		s.Pods = s.Pods[:2]
		s.events = []core.Event{{Reason: "FailedCreate", Message: "violates PodSecurity", InvolvedObject: core.ObjectReference{UID: "db"},
			LastTimestamp: metav1.NewTime(began.Add(time.Second))}}
		return s
	}
	const minute = time.Minute
	tests := map[string][]looked{
		"an image that is not there ends it": {{0, failing("ErrImageNeverPull", 0), "ErrImageNeverPull"}},
		"a crash that repeats ends it":       {{0, failing("CrashLoopBackOff", 2), "CrashLoopBackOff"}},
		"restarts of long ago are forgiven": {
			{0, old(7), ""}, {time.Second, old(8), ""}, {2 * time.Second, old(9), "9 restarts"}},
		"a registry may be away for a moment": {
			{0, failing("ImagePullBackOff", 0), ""}, {20 * time.Second, failing("ImagePullBackOff", 0), ""},
			{25 * time.Second, scene(), ""}, {40 * time.Second, failing("ImagePullBackOff", 0), ""},
			{71 * time.Second, failing("ImagePullBackOff", 0), "ImagePullBackOff"}},
		"trying a pull again is no new beginning": {
			{0, failing("ErrImagePull", 0), ""}, {time.Second, failing("ImagePullBackOff", 0), ""},
			{20 * time.Second, failing("ErrImagePull", 0), ""}, {31 * time.Second, failing("ImagePullBackOff", 0), "ImagePullBackOff"}},
		"quota may free itself": {{0, refused(), ""}, {16 * time.Second, refused(), "exceeded quota"}},
		"the database's pods are refused": {
			{2 * time.Second, refusedDatabase(), ""}, {20 * time.Second, refusedDatabase(), "violates PodSecurity"}},
		"an application may crash until its database is there": {
			{0, crashing(false, 0), ""}, {minute, crashing(false, minute/2), ""},
			{2 * minute, crashing(true, minute), ""},
			{3 * minute, crashing(true, minute*5/2), "CrashLoopBackOff"}},
		"an application that crashes beside its database": {{0, crashing(true, 0), "CrashLoopBackOff"}},
		"a readiness probe that never succeeds": {
			{0, scene(), ""}, {5 * minute, exceeded(scene()), "container web: NotReady: it runs, but its readiness probe does not succeed"}},
		"time that the database took is not the application's": {
			{0, scene().withDatabase(false), ""}, {5 * minute, exceeded(scene().withDatabase(false)), ""},
			{6 * minute, exceeded(scene().withDatabase(true)), ""},
			{7*minute + time.Second, exceeded(scene().withDatabase(true)), "NotReady"}},
		"time that an image takes to come is not the application's": {
			{0, slow(true), ""}, {20 * minute, slow(true), ""}, {24 * minute, slow(false), ""}, {26 * minute, slow(false), "NotReady"}},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			p := grace{started: began, first: map[string]time.Time{}}
			for _, l := range looks {
				ws := all
				if l.snapshot.statefulSets["shop-postgresql"] == nil {
					ws = all[:1]
				}
				got := (&Error{p.lost(l.snapshot, ws, began.Add(l.after))}).Error()
				if l.want == "" && got != "" || !strings.Contains(got, l.want) {
					t.Errorf("after %s: got %q, want %q", l.after, got, l.want)
				}
			}
		})
	}
}

// A pod that has no node yet is waited for while an autoscaler adds one for it.
func TestAClusterThatGrows(t *testing.T) {
	s := scene()
	s.events = []core.Event{{Reason: "TriggeredScaleUp", InvolvedObject: core.ObjectReference{Name: "shop-r2-a"}}}
	roomless := func(pod string) Reason { return Reason{Pod: pod, Reason: core.PodReasonUnschedulable} }
	for name, test := range map[string]struct {
		reasons []Reason
		want    bool
	}{
		"for one of the pods":     {[]Reason{roomless("shop-r2-b"), roomless("shop-r2-a")}, true},
		"for others":              {[]Reason{roomless("shop-r2-b")}, false},
		"and another pod crashes": {[]Reason{roomless("shop-r2-a"), {Pod: "shop-r2-b", Reason: crashLoop}}, false},
	} {
		if got := s.growing(test.reasons); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestWorkloads(t *testing.T) {
	manifest := `---
# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
---
apiVersion: v1
kind: Service
metadata:
  name: shop
---
kind: StatefulSet
metadata: {name: shop-postgresql}
`
	got, err := Workloads(manifest)
	if err != nil || fmt.Sprint(got) != "[deployment shop statefulset shop-postgresql]" {
		t.Errorf("got %v, %v", got, err)
	}
}
