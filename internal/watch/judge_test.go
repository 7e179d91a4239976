package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// now is when the worlds of tests are looked at.
var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func web(ready, want int) Workload {
	return Workload{Namespace: "production", Kind: "Deployment", Name: "web", Want: want, Ready: ready}
}

func database(ready int) Workload {
	return Workload{Namespace: "production", Kind: "StatefulSet", Name: "postgresql", Want: 1, Ready: ready}
}

// pod is one of a workload, an hour old, ready, on node-1.
func pod(l Workload, change ...func(*core.Pod)) *core.Pod {
	yes := true
	owner, name := metav1.OwnerReference{Kind: l.Kind, Name: l.Name, Controller: &yes}, l.Name+"-0"
	if l.Kind == "Deployment" {
		owner.Kind, owner.Name, name = "ReplicaSet", l.Name+"-5d8c", l.Name+"-5d8c-x2x4z"
	}
	p := &core.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name, UID: "1", CreationTimestamp: ago(time.Hour),
			Labels: map[string]string{"pod-template-hash": "5d8c"}, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec: core.PodSpec{NodeName: "node-1", Containers: []core.Container{{Name: "app",
			Resources:    core.ResourceRequirements{Limits: core.ResourceList{core.ResourceMemory: resource.MustParse("64Mi")}},
			StartupProbe: &core.Probe{PeriodSeconds: 2, FailureThreshold: 60, ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/up", Port: intstr.FromInt32(8000)}}}}}},
		Status: core.PodStatus{Phase: core.PodRunning, PodIP: "10.0.0.1",
			Conditions: []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: ago(time.Hour - 5*time.Second)}},
			ContainerStatuses: []core.ContainerStatus{{Name: "app", Ready: true, Started: &yes,
				State: core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: ago(time.Hour - 2*time.Second)}}}},
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// unreadySince says that a pod lost its readiness.
func unreadySince(d time.Duration) func(*core.Pod) {
	return func(p *core.Pod) {
		p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = core.ConditionFalse, ago(d)
		p.Status.ContainerStatuses[0].Ready = false
	}
}

// ended says that the instance of a pod's container ended, after it had lived for
// a while, and what the container does now.
func ended(reason string, code int32, restarts int32, lived time.Duration, state core.ContainerState) func(*core.Pod) {
	return func(p *core.Pod) {
		unreadySince(10 * time.Second)(p)
		s := &p.Status.ContainerStatuses[0]
		s.RestartCount, s.State = restarts, state
		s.LastTerminationState.Terminated = &core.ContainerStateTerminated{Reason: reason, ExitCode: code,
			StartedAt: ago(lived + 10*time.Second), FinishedAt: ago(10 * time.Second)}
	}
}

func waits(reason, message string) core.ContainerState {
	return core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason, Message: message}}
}

func waiting(reason, message string) func(*core.Pod) {
	return func(p *core.Pod) {
		unreadySince(time.Hour)(p)
		p.Status.Phase = core.PodPending
		p.Status.ContainerStatuses[0].State = waits(reason, message)
	}
}

func young(p *core.Pod) { p.CreationTimestamp = ago(20 * time.Second) }

func on(node string) func(*core.Pod) { return func(p *core.Pod) { p.Spec.NodeName = node } }

func unschedulable(p *core.Pod) {
	unreadySince(time.Hour)(p)
	p.Spec.NodeName, p.Status.ContainerStatuses = "", nil
	p.Status.Conditions = append(p.Status.Conditions, core.PodCondition{Type: core.PodScheduled, Status: core.ConditionFalse,
		Reason: core.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient memory."})
}

func node(name string, conditions ...core.NodeCondition) *core.Node {
	if len(conditions) == 0 || conditions[0].Type != core.NodeReady {
		conditions = append([]core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue}}, conditions...)
	}
	return &core.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: core.NodeStatus{Conditions: conditions}}
}

var lost = core.NodeCondition{Type: core.NodeReady, Status: core.ConditionUnknown, Message: "Kubelet stopped posting node status."}

func event(about *core.Pod, reason, message string) *core.Event {
	return &core.Event{Type: core.EventTypeWarning, Reason: reason, Message: message, LastTimestamp: ago(5 * time.Second),
		InvolvedObject: core.ObjectReference{Kind: "Pod", Namespace: about.Namespace, Name: about.Name, UID: about.UID}}
}

func cronJob(schedule string, last time.Duration, change ...func(*batch.CronJob)) *batch.CronJob {
	c := &batch.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "report", CreationTimestamp: ago(100 * time.Hour)},
		Spec: batch.CronJobSpec{Schedule: schedule, ConcurrencyPolicy: batch.ForbidConcurrent}}
	if last > 0 {
		at := ago(last)
		c.Status.LastScheduleTime = &at
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func job(name, owner string, age time.Duration, condition batch.JobConditionType, reason string) *batch.Job {
	yes := true
	j := &batch.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: name, UID: "9", CreationTimestamp: ago(age)}}
	if owner != "" {
		j.OwnerReferences = []metav1.OwnerReference{{Kind: "CronJob", Name: owner, Controller: &yes}}
		j.Annotations = map[string]string{batch.CronJobScheduledTimestampAnnotation: ago(age).Format(time.RFC3339)}
	}
	if condition != "" {
		j.Status.Conditions = []batch.JobCondition{{Type: condition, Status: core.ConditionTrue, Reason: reason, LastTransitionTime: ago(age - time.Second)}}
	}
	return j
}

func jobPod(of string, change ...func(*core.Pod)) *core.Pod {
	p := pod(Workload{Namespace: "production", Kind: "Job", Name: of}, func(p *core.Pod) {
		p.Status.Phase = core.PodFailed
		p.Status.ContainerStatuses[0].State = core.ContainerState{Terminated: &core.ContainerStateTerminated{Reason: "Error", ExitCode: 3}}
	})
	for _, f := range change {
		f(p)
	}
	return p
}

// evicted is a pod that its node has ended a minute ago.
func evicted(name string, change ...func(*core.Pod)) *core.Pod {
	p := pod(web(1, 1), func(p *core.Pod) {
		p.Name, p.CreationTimestamp = name, ago(time.Minute)
		p.Status = core.PodStatus{Phase: core.PodFailed, Reason: "Evicted", Message: "The node was low on resource: ephemeral-storage."}
	})
	for _, f := range change {
		f(p)
	}
	return p
}

// Each world is what the API server says; the line says what is wrong in it, as
// "key kind: title". Nothing else is.
func TestJudge(t *testing.T) {
	old := pod(web(0, 1), unreadySince(time.Minute))
	fresh := pod(web(0, 1), young, func(p *core.Pod) {
		unreadySince(19 * time.Second)(p)
		p.Status.ContainerStatuses[0].State = waits("ContainerCreating", "")
	})
	unmounted := pod(web(0, 1), waiting("ContainerCreating", ""))
	failing := pod(web(0, 1), unreadySince(time.Minute))
	unmountedJob := jobPod("report-1", waiting("ContainerCreating", ""), func(p *core.Pod) { p.Status.Phase, p.CreationTimestamp = core.PodPending, ago(2*time.Minute) })
	tests := []struct {
		name  string
		world World
		want  []string
	}{
		{"nothing", World{}, nil},
		{"all is well", World{Workloads: []Workload{web(1, 1)}, Pods: []*core.Pod{pod(web(1, 1))}, Nodes: []*core.Node{node("node-1")}}, nil},
		{"stopped on purpose", World{Workloads: []Workload{web(0, 0)}}, nil},

		{"a crash loop", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{
			pod(web(0, 1), ended("Error", 1, 3, time.Second, waits(crashLoop, "back-off")))}},
			[]string{"production/deployment/web CrashLoopBackOff: web is in a crash loop"}},
		{"a crash loop of two pods is one cause", World{Workloads: []Workload{web(0, 2)}, Pods: []*core.Pod{
			pod(web(0, 1), ended("Error", 1, 3, time.Second, waits(crashLoop, ""))), pod(web(0, 1), ended("Error", 1, 3, time.Second, waits(crashLoop, "")))}},
			[]string{"production/deployment/web CrashLoopBackOff: web is in a crash loop"}},
		{"one crash after a long life, and it starts again", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{
			pod(web(0, 1), ended("Error", 1, 5, 50*time.Minute, core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: ago(8 * time.Second)}}))}}, nil},
		{"it runs again", World{Workloads: []Workload{web(1, 1)}, Pods: []*core.Pod{
			pod(web(1, 1), func(p *core.Pod) { p.Status.ContainerStatuses[0].RestartCount = 7 })}}, nil},
		{"killed for memory once, and it runs again", World{Workloads: []Workload{web(1, 1)}, Pods: []*core.Pod{
			pod(web(1, 1), ended(outOfMem, 137, 1, time.Hour, core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: ago(8 * time.Second)}}))}},
			[]string{"production/deployment/web OOMKilled: web ran out of memory and was killed"}},
		{"killed for memory again and again", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{
			pod(web(0, 1), ended(outOfMem, 137, 4, 20*time.Second, waits(crashLoop, "")))}},
			[]string{"production/deployment/web OOMKilled: web runs out of memory and is killed, again and again"}},

		{"an image that is gone", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{pod(web(0, 1), waiting("ErrImagePull", "not found"))}},
			[]string{"production/deployment/web ImagePullBackOff: web cannot get its image"}},
		{"the pause after it", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{pod(web(0, 1), waiting("ImagePullBackOff", "not found"))}},
			[]string{"production/deployment/web ImagePullBackOff: web cannot get its image"}},
		{"a Secret that is gone", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{pod(web(0, 1), waiting("CreateContainerConfigError", `secret "x" not found`))}},
			[]string{"production/deployment/web CreateContainerConfigError: web cannot be started"}},
		{"no node has room", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{pod(web(0, 1), unschedulable)}, Nodes: []*core.Node{node("node-1")}},
			[]string{"production/deployment/web Unschedulable: web finds no node"}},
		{"no pods are made", World{Workloads: []Workload{{Namespace: "production", Kind: "Deployment", Name: "web", Want: 1, Failure: "exceeded quota", FailureReason: "FailedCreate"}}},
			[]string{"production/deployment/web FailedCreate: web gets no pods"}},
		{"an evicted pod that was replaced", World{Workloads: []Workload{web(1, 1)}, Pods: []*core.Pod{
			pod(web(1, 1)), pod(web(1, 1), func(p *core.Pod) { p.Status.Phase, p.Status.Reason = core.PodFailed, "Evicted" })}}, nil},

		{"pods evicted again and again", World{Workloads: []Workload{web(1, 1)}, Pods: []*core.Pod{pod(web(1, 1)), evicted("a"), evicted("b")}},
			[]string{"production/deployment/web Evicted: 2 pods of web were ended by their node"}},
		{"a node that is switched off ends its pods", World{Workloads: []Workload{web(1, 1)}, Pods: []*core.Pod{pod(web(1, 1)),
			evicted("a", func(p *core.Pod) { p.Status.Reason = "Terminated" }), evicted("b", func(p *core.Pod) { p.Status.Reason = "Terminated" })}}, nil},
		{"readiness lost", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{old}},
			[]string{"production/deployment/web NotReady: web is not ready"}},
		{"readiness lost, and what its probe meets", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{failing},
			Events: []*core.Event{event(failing, "Unhealthy", `Readiness probe failed: HTTP probe failed with statuscode: 503`)}},
			[]string{"production/deployment/web Unhealthy: web is not ready"}},
		{"a new pod may take its time", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{fresh}}, nil},
		{"its image may take minutes", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{
			pod(web(0, 1), waiting("ContainerCreating", ""), func(p *core.Pod) { p.CreationTimestamp = ago(4 * time.Minute) })}}, nil},
		{"a volume that cannot be mounted", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{unmounted},
			Events: []*core.Event{event(unmounted, "FailedMount", "not a directory")}},
			[]string{"production/deployment/web ContainerCreating: web does not serve"}},
		{"on its way out", World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{
			pod(web(0, 1), unreadySince(time.Minute), func(p *core.Pod) { at := ago(time.Second); p.DeletionTimestamp = &at })}}, nil},

		{"the database is the cause", World{Workloads: []Workload{web(0, 1), database(0)}, Pods: []*core.Pod{
			old, pod(database(0), waiting("ImagePullBackOff", "not found"))}},
			[]string{"production/statefulset/postgresql ImagePullBackOff: postgresql cannot get its image"}},
		{"the application's crashes until its database was back are no fault of its own", World{Workloads: []Workload{web(0, 1), database(1)}, Pods: []*core.Pod{
			pod(web(0, 1), ended("Error", 1, 6, time.Second, waits(crashLoop, ""))),
			pod(database(1), func(p *core.Pod) { p.Status.Conditions[0].LastTransitionTime = ago(9 * time.Second) })}}, nil},

		{"a node is gone, with its pods", World{Workloads: []Workload{web(1, 2)}, Nodes: []*core.Node{node("node-1"), node("node-2", lost)}, Pods: []*core.Pod{
			pod(web(1, 2)), pod(web(1, 2), on("node-2"), unreadySince(time.Minute)), pod(web(1, 2), unschedulable)}},
			[]string{"node/node-2 NotReady: node node-2 is gone"}},
		{"a node is short of disk space", World{Nodes: []*core.Node{node("node-1", core.NodeCondition{Type: core.NodeDiskPressure, Status: core.ConditionTrue})}},
			[]string{"node/node-1 DiskPressure: node node-1 is short of disk space"}},
		{"a node that is only joining", World{Nodes: []*core.Node{{ObjectMeta: metav1.ObjectMeta{Name: "node-3"}}}}, nil},

		{"a cron job runs as it should", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)}, Jobs: []*batch.Job{job("report-1", "report", time.Hour, batch.JobComplete, "")}}, nil},
		{"a cron job failed", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)},
			Jobs: []*batch.Job{job("report-1", "report", time.Minute, batch.JobFailed, "BackoffLimitExceeded")}, Pods: []*core.Pod{jobPod("report-1")}},
			[]string{"production/cronjob/report JobFailed: report failed"}},
		{"it failed, and succeeded since", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)}, Jobs: []*batch.Job{
			job("report-1", "report", 2*time.Hour, batch.JobFailed, "BackoffLimitExceeded"), job("report-2", "report", time.Hour, batch.JobComplete, "")}}, nil},
		{"it failed, and the next goes on", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)}, Jobs: []*batch.Job{
			job("report-1", "report", time.Hour, batch.JobFailed, "DeadlineExceeded"), job("report-2", "report", time.Minute, "", "")}},
			[]string{"production/cronjob/report JobFailed: report failed"}},
		{"one made by hand failed", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)},
			Jobs: []*batch.Job{func() *batch.Job {
				j := job("report-now", "report", time.Minute, batch.JobFailed, "")
				j.Annotations = nil
				return j
			}()}}, nil},
		{"a cron job whose image is gone", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)}, Jobs: []*batch.Job{job("report-1", "report", time.Minute, "", "")},
			Pods: []*core.Pod{jobPod("report-1", waiting("ImagePullBackOff", "not found"))}},
			[]string{"production/cronjob/report ImagePullBackOff: report cannot begin"}},
		{"a cron job whose volume cannot be mounted", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second)}, Jobs: []*batch.Job{job("report-1", "report", 2*time.Minute, "", "")},
			Pods: []*core.Pod{unmountedJob}, Events: []*core.Event{event(unmountedJob, "FailedMount", "not a directory")}},
			[]string{"production/cronjob/report FailedMount: report cannot begin"}},
		{"a backup failed", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", time.Second, func(c *batch.CronJob) { c.Labels = map[string]string{nameLabel: "backup"} })},
			Jobs: []*batch.Job{job("report-1", "report", time.Minute, batch.JobFailed, "BackoffLimitExceeded")}},
			[]string{"production/cronjob/report JobFailed: the backup failed"}},
		{"a run was missed", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", 3*time.Hour)}},
			[]string{"production/cronjob/report MissedSchedule: report did not run"}},
		{"a run is a little late", World{CronJobs: []*batch.CronJob{cronJob("59 * * * *", 61*time.Minute)}}, nil},
		{"it is suspended, and was due", World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", 3*time.Hour, func(c *batch.CronJob) { yes := true; c.Spec.Suspend = &yes })}},
			[]string{"production/cronjob/report MissedSchedule: report did not run"}},
		{"it is new, and not due yet", World{CronJobs: []*batch.CronJob{cronJob("0 0 * * *", 0, func(c *batch.CronJob) { c.CreationTimestamp = ago(time.Hour) })}}, nil},
		{"another zone's noon is yet to come", World{CronJobs: []*batch.CronJob{cronJob("30 12 * * *", 23*time.Hour+30*time.Minute, func(c *batch.CronJob) {
			zone := "Europe/London" // an hour ahead in May
			c.Spec.TimeZone = &zone
		})}}, []string{"production/cronjob/report MissedSchedule: report did not run"}},
		{"a job failed", World{Jobs: []*batch.Job{job("import", "", time.Minute, batch.JobFailed, "BackoffLimitExceeded")}},
			[]string{"production/job/import/9 JobFailed: job import failed"}},
		{"a job failed days ago", World{Jobs: []*batch.Job{job("import", "", 48*time.Hour, batch.JobFailed, "BackoffLimitExceeded")}}, nil},
		{"a release's job failed, which the deploy tells", World{Jobs: []*batch.Job{func() *batch.Job {
			j := job("web-release", "", time.Minute, batch.JobFailed, "")
			j.Labels = map[string]string{componentLabel: "release"}
			return j
		}()}}, nil},

		{"a volume is full", World{Disks: []Disk{{Namespace: "production", Claim: "data", Node: "node-1", Used: 90, Capacity: 100}}},
			[]string{"production/volume/data VolumeFull: volume data is 90 % full"}},
		{"a volume has room", World{Disks: []Disk{{Namespace: "production", Claim: "data", Used: 84, Capacity: 100}, {Namespace: "production", Claim: "odd"}}}, nil},
		{"one disk of two nodes", World{Disks: []Disk{{Node: "node-1", Used: 86, Capacity: 100}, {Node: "node-2", Used: 86, Capacity: 100}}},
			[]string{"disk/node-1 DiskFull: the disk of node-1, node-2 is 86 % full"}},
		{"a certificate ends soon", World{Certificates: []Certificate{{Namespace: "production", Name: "web-tls", Hosts: []string{"shop.example"}, Ends: now.Add(13*24*time.Hour + time.Hour)}}},
			[]string{"production/certificate/web-tls CertificateEnds: the certificate of shop.example ends in 13 days"}},
		{"a certificate has ended", World{Certificates: []Certificate{{Namespace: "production", Name: "web-tls", Hosts: []string{"shop.example"}, Ends: now.Add(-time.Hour)}}},
			[]string{"production/certificate/web-tls CertificateEnds: the certificate of shop.example ended on 2026-05-04"}},
		{"a certificate of an address, without a name", World{Certificates: []Certificate{{Namespace: "production", Name: "web-tls", Ends: now.Add(time.Hour)}}},
			[]string{"production/certificate/web-tls CertificateEnds: the certificate of web-tls ends in 60 minutes"}},
		{"a certificate is good", World{Certificates: []Certificate{{Namespace: "production", Name: "web-tls", Hosts: []string{"shop.example"}, Ends: now.Add(15 * 24 * time.Hour)}}}, nil},
		{"a sink refuses lines of two nodes", World{Nodes: []*core.Node{node("a"), node("b")}, Sinks: []Sink{
			{Node: "a", Name: "the bucket", Failing: true, Answer: "403"}, {Node: "b", Name: "the bucket", Failing: true, Answer: "403"}}},
			[]string{"logs/the bucket SinkFailing: log lines do not arrive in the bucket"}},
		{"lines were lost", World{Sinks: []Sink{{Node: "a", Name: "the bucket", Lost: 7}, {Node: "b", Name: "the bucket", Lost: 5}}},
			[]string{"logs/lost/the bucket LinesLost: 12 log lines for the bucket were lost"}},
		{"the agent of a node that is gone", World{Nodes: []*core.Node{node("a", lost)}, Sinks: []Sink{{Node: "a", Agent: true}}},
			[]string{"node/a NotReady: node a is gone"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.world.Now = now
			strip(&test.world)
			var got []string
			for _, p := range Judge(&test.world) {
				got = append(got, fmt.Sprintf("%s %s: %s", p.Key, p.Kind, p.Title))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("what is wrong (-want +got):\n%s", diff)
			}
		})
	}
}

// strip makes of a world what informers keep of it.
func strip(w *World) {
	c := &cluster{namespaces: []string{"production"}}
	for i := range w.Pods {
		w.Pods[i] = c.strip(w.Pods[i].DeepCopy()).(*core.Pod)
	}
	for i := range w.Events {
		w.Events[i] = c.strip(w.Events[i].DeepCopy()).(*core.Event)
	}
	for i := range w.Jobs {
		w.Jobs[i] = c.strip(w.Jobs[i].DeepCopy()).(*batch.Job)
	}
	for i := range w.CronJobs {
		w.CronJobs[i] = c.strip(w.CronJobs[i].DeepCopy()).(*batch.CronJob)
	}
	for i := range w.Nodes {
		w.Nodes[i] = c.strip(w.Nodes[i].DeepCopy()).(*core.Node)
	}
}

// What is said besides the title is what a person asks next.
func TestDetails(t *testing.T) {
	unmounted := pod(web(0, 1), waiting("ContainerCreating", ""))
	for _, test := range []struct {
		world World
		want  string
	}{
		{World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", 3*time.Hour)}}, "it was due at 2026-05-04 11:00 UTC (0 * * * *); it has never succeeded"},
		{World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", 3*time.Hour, func(c *batch.CronJob) { yes := true; c.Spec.Suspend = &yes })}}, "and is suspended"},
		{World{CronJobs: []*batch.CronJob{cronJob("0 * * * *", 3*time.Hour, func(c *batch.CronJob) { c.Status.Active = []core.ObjectReference{{Name: "report-1"}} })}}, "while the run before it, report-1, still goes on"},
		{World{Disks: []Disk{{Namespace: "production", Claim: "data", Used: 9e9, Capacity: 10e9, Full: now.Add(50 * time.Hour)}}}, "9.0 GB of 10 GB are used, and more by the hour: it is full in 2 days"},
		{World{Nodes: []*core.Node{node("node-1", lost)}, Pods: []*core.Pod{pod(web(1, 1))}}, "on it: production/web-5d8c-x2x4z"},
		{World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{unmounted}, Events: []*core.Event{event(unmounted, "FailedMount", "not a directory")}}, "FailedMount: not a directory"},
		{World{Workloads: []Workload{web(0, 1)}, Pods: []*core.Pod{pod(web(0, 1), ended("Error", 1, 3, time.Second, waits(crashLoop, "")))}}, "exit code 1"},
	} {
		test.world.Now = now
		problems := Judge(&test.world)
		if len(problems) != 1 {
			t.Errorf("%s: there are %d problems", test.want, len(problems))
			continue
		}
		m := write(Change{Problem: problems[0], Entry: Entry{Namespace: problems[0].Namespace}}, "local", now)
		if !strings.Contains(m.Text, test.want) {
			t.Errorf("the message does not have %q:\n%s", test.want, m.Text)
		}
	}
}
