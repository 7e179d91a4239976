package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/rollout"
)

const (
	// cronLate is how late a run may begin.
	cronLate = 75 * time.Second
	// oldJob is how long a Job that nothing will repeat is told of.
	oldJob = 24 * time.Hour

	nameLabel      = "app.kubernetes.io/name"
	componentLabel = "app.kubernetes.io/component"
)

// judgeCronJobs looks at what is to run at its times.
func judgeCronJobs(w *World) []Problem {
	var all []Problem
	for _, c := range w.CronJobs {
		name := c.Name
		if isBackup(c) {
			name = "the backup"
		}
		p := Problem{Key: c.Namespace + "/cronjob/" + c.Name, Namespace: c.Namespace}
		last := "; it has never succeeded"
		if c.Status.LastSuccessfulTime != nil {
			last = "; the last success was on " + c.Status.LastSuccessfulTime.UTC().Format("2006-01-02 15:04 UTC")
		}
		jobs := w.scheduledJobs(c)
		if job := latest(jobs); job != nil && failure(job) != nil {
			p.Kind, p.Title, p.Detail = "JobFailed", name+" failed", explain(failure(job))+last
			p.Reasons = w.ofJob(job)
			all = append(all, p)
			continue
		}
		if job := newest(jobs); job != nil && !finished(job) {
			if reasons := w.stuck(job); len(reasons) > 0 {
				p.Kind, p.Title, p.Detail, p.Reasons = kindOf(reasons[0]), name+" cannot begin", "job "+job.Name+last, reasons
				all = append(all, p)
				continue
			}
		}
		if due, why := missed(c, w.Now); !due.IsZero() {
			p.Kind, p.Title = "MissedSchedule", name+" did not run"
			p.Detail = fmt.Sprintf("it was due at %s (%s)%s%s", due.UTC().Format("2006-01-02 15:04 UTC"), c.Spec.Schedule, why, last)
			all = append(all, p)
		}
	}
	return all
}

func isBackup(c *batch.CronJob) bool { return c.Labels[nameLabel] == "backup" }

// scheduledJobs are the Jobs that a CronJob made at its times. One that somebody
// made of it by hand, as berth backup now does, tells that person.
func (w *World) scheduledJobs(c *batch.CronJob) []*batch.Job {
	var all []*batch.Job
	for _, job := range w.Jobs {
		if owner := metav1.GetControllerOf(job); owner != nil && owner.Kind == "CronJob" && job.Namespace == c.Namespace &&
			owner.Name == c.Name && job.Annotations[batch.CronJobScheduledTimestampAnnotation] != "" {
			all = append(all, job)
		}
	}
	slices.SortFunc(all, func(a, b *batch.Job) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return all
}

// latest is the Job that ended last, and newest the one that began last.
func latest(jobs []*batch.Job) *batch.Job {
	for _, job := range slices.Backward(jobs) {
		if finished(job) {
			return job
		}
	}
	return nil
}

func newest(jobs []*batch.Job) *batch.Job {
	if len(jobs) == 0 {
		return nil
	}
	return jobs[len(jobs)-1]
}

func finished(job *batch.Job) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batch.JobCondition) bool {
		return (c.Type == batch.JobComplete || c.Type == batch.JobFailed) && c.Status == core.ConditionTrue
	})
}

// failure is the condition that a Job failed by, or nil.
func failure(job *batch.Job) *batch.JobCondition {
	for i, c := range job.Status.Conditions {
		if c.Type == batch.JobFailed && c.Status == core.ConditionTrue {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

func explain(c *batch.JobCondition) string {
	switch c.Reason {
	case batch.JobReasonDeadlineExceeded:
		return "it took longer than it may"
	case batch.JobReasonBackoffLimitExceeded:
		return "every attempt failed"
	}
	return cmp.Or(c.Message, c.Reason)
}

// ofJob tells how the newest pod of a Job ended.
func (w *World) ofJob(job *batch.Job) []rollout.Reason {
	var last *core.Pod
	for _, pod := range w.Pods {
		if kind, name := ownerOf(pod); kind == "Job" && name == job.Name && pod.Namespace == job.Namespace &&
			(last == nil || pod.CreationTimestamp.After(last.CreationTimestamp.Time)) {
			last = pod
		}
	}
	if last == nil {
		return nil
	}
	for _, c := range rollout.Statuses(last) {
		if end := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated); end != nil && end.ExitCode != 0 {
			code := end.ExitCode
			return []rollout.Reason{{Object: "pod " + last.Name, Pod: last.Name, Node: last.Spec.NodeName, Container: c.Name,
				Reason: cmp.Or(end.Reason, "Error"), Message: end.Message, ExitCode: &code, Signal: end.Signal}}
		}
	}
	return nil
}

// stuck returns why the pods of a Job do not even run.
func (w *World) stuck(job *batch.Job) []rollout.Reason {
	var all []rollout.Reason
	for _, pod := range w.Pods {
		if kind, name := ownerOf(pod); kind != "Job" || name != job.Name || pod.Namespace != job.Namespace || pod.Status.Phase != core.PodPending {
			continue
		}
		for _, r := range rollout.PodReasons(pod) {
			if r.ExitCode == nil {
				all = append(all, r)
			}
		}
		if message := hindrance(w.eventsOf("Pod", pod.Namespace, pod.Name)); len(all) == 0 && message != "" && w.Now.Sub(pod.CreationTimestamp.Time) > usualStart {
			reason, _, _ := strings.Cut(message, ":")
			all = append(all, rollout.Reason{Object: "pod " + pod.Name, Pod: pod.Name, Node: pod.Spec.NodeName, Reason: reason, Message: message})
		}
	}
	return all
}

// missed returns when a CronJob was last due without running, and why, as far as
// is known; the zero time when it was not. A run that is late may yet come.
func missed(c *batch.CronJob, now time.Time) (due time.Time, why string) {
	zone := "UTC"
	if c.Spec.TimeZone != nil && *c.Spec.TimeZone != "" {
		zone = *c.Spec.TimeZone
	}
	schedule, err := cron.ParseStandard("CRON_TZ=" + zone + " " + c.Spec.Schedule)
	if err != nil || c.DeletionTimestamp != nil {
		return due, "" // the API server takes no such schedule
	}
	since := c.CreationTimestamp.Time
	if last := c.Status.LastScheduleTime; last != nil && last.After(since) {
		since = last.Time
	}
	// A schedule of every minute is looked at for some hours, not for weeks.
	for range 500 {
		next := schedule.Next(since)
		if next.IsZero() || now.Sub(next) < cronLate {
			break
		}
		due, since = next, next
	}
	switch {
	case due.IsZero():
		return due, ""
	case c.Spec.Suspend != nil && *c.Spec.Suspend:
		return due, ", and is suspended"
	case len(c.Status.Active) > 0 && c.Spec.ConcurrencyPolicy == batch.ForbidConcurrent:
		return due, ", while the run before it, " + c.Status.Active[0].Name + ", still goes on"
	}
	return due, ""
}

// judgeJobs looks at Jobs of their own. Those of a release or a session report
// to the command that waits for them.
func judgeJobs(w *World) []Problem {
	var all []Problem
	for _, job := range w.Jobs {
		component := job.Labels[componentLabel]
		c := failure(job)
		if len(job.OwnerReferences) > 0 || component == "release" || component == "session" || job.Annotations["helm.sh/hook"] != "" ||
			c == nil || w.Now.Sub(c.LastTransitionTime.Time) > oldJob {
			continue
		}
		all = append(all, Problem{Key: job.Namespace + "/job/" + job.Name + "/" + string(job.UID), Namespace: job.Namespace,
			Kind: "JobFailed", Title: "job " + job.Name + " failed", Detail: explain(c), Reasons: w.ofJob(job), Once: true})
	}
	return all
}
