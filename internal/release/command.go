package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"berth/internal/helm"
	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// stepOf says when an object of the application's chart is applied. What the
// release command needs is first: the database, services, volumes. Then, once
// it has run, what answers requests and works. Cron jobs are changed only when
// that serves, so that a revision that fails never touched them.
func stepOf(info *resource.Info) helm.Step {
	switch info.Mapping.GroupVersionKind.Kind {
	case "Job":
		return helm.Apart
	case "CronJob":
		return helm.Last
	case "Deployment", "Ingress", "PodDisruptionBudget", "HorizontalPodAutoscaler":
		return helm.Main
	}
	if object, ok := info.Object.(metav1.Object); ok && object.GetLabels()["app.kubernetes.io/component"] == "web" {
		return helm.Main
	}
	return helm.First
}

// The annotations of the Job that runs a release command.
const (
	// jobTemplate is a checksum of its pods' template.
	jobTemplate = "berth/template"
	// jobRevision is the revision that it was run for last.
	jobRevision = "berth/revision"
)

// command runs the release command of one revision.
type command struct {
	*Client
	environment string
	// revision is the one to be made, and past are those before it.
	revision int
	past     []*helmrelease.Release
	reporter progress.Reporter
	step     progress.Step
}

// run runs the Job; what it needs must serve. A Job that an interrupted deploy
// of the same revision left is taken over: it is not run a second time. One of
// another revision that still runs is waited for.
//
// When ctx ends, the Job goes on: a migration that is cut off does more harm
// than one that nobody waits for.
func (c command) run(ctx context.Context, job *batch.Job) error {
	c.step.Detail("release command")
	sum, err := templateOf(job)
	if err != nil {
		return err
	}
	metav1.SetMetaDataAnnotation(&job.ObjectMeta, jobTemplate, sum)
	metav1.SetMetaDataAnnotation(&job.ObjectMeta, jobRevision, strconv.Itoa(c.revision))
	taken, err := c.takeJobOver(ctx, job)
	if err != nil {
		return err
	}
	if !taken {
		jobs := c.kube.BatchV1().Jobs(c.environment)
		if _, err := jobs.Create(ctx, job, metav1.CreateOptions{FieldManager: own.Manager}); err != nil {
			return fmt.Errorf("run the release command: %w", err)
		}
	}
	return c.wait(ctx, job.Name)
}

// takeJobOver looks at the Job of an earlier deploy, and removes it unless it
// can stand for the new one.
func (c command) takeJobOver(ctx context.Context, job *batch.Job) (bool, error) {
	jobs := c.kube.BatchV1().Jobs(c.environment)
	found, err := jobs.Get(ctx, job.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an earlier release command: %w", err)
	}
	same := found.Annotations[jobTemplate] == job.Annotations[jobTemplate]
	earlier := found.Annotations[jobRevision]
	ended := outcome(found)
	switch {
	case ended == "" && same:
		c.reporter.Note(fmt.Sprintf("the release command of revision %s still runs: it counts for this revision", earlier))
	case ended == "":
		c.reporter.Note(fmt.Sprintf("the release command of revision %s still runs: waiting for its end", earlier))
		if err := c.wait(ctx, job.Name); err != nil && ctx.Err() != nil {
			return false, err
		}
	case !c.wasInterrupted(earlier):
	case ended == batch.JobComplete && same:
		c.reporter.Note(fmt.Sprintf("the release command had run when revision %s was interrupted: it is not run again", earlier))
	case ended == batch.JobComplete:
		c.reporter.Note(fmt.Sprintf("the release command of the interrupted revision %s ended well", earlier))
	default:
		c.reporter.Note(fmt.Sprintf("the release command of the interrupted revision %s failed", earlier))
	}
	if same && (ended == "" || ended == batch.JobComplete && c.wasInterrupted(earlier)) {
		return true, c.claim(ctx, job)
	}
	err = jobs.Delete(ctx, job.Name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: metav1.NewUIDPreconditions(string(found.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("remove the last release command: %w", err)
	}
	err = poll.Until(ctx, c.timeouts.poll, func(ctx context.Context) (bool, error) {
		now, err := jobs.Get(ctx, job.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err) || err == nil && now.UID != found.UID, nil
	})
	return false, err
}

// claim notes that a Job counts for the present revision.
func (c command) claim(ctx context.Context, job *batch.Job) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		jobRevision: job.Annotations[jobRevision],
	}}})
	if err != nil {
		return err
	}
	_, err = c.kube.BatchV1().Jobs(c.environment).Patch(ctx, job.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: own.Manager})
	if err != nil {
		return fmt.Errorf("take the release command over: %w", err)
	}
	return nil
}

// wasInterrupted reports whether nobody saw what became of a revision.
func (c command) wasInterrupted(revision string) bool {
	for _, r := range c.past {
		if strconv.Itoa(r.Version) == revision {
			return helm.Interrupted(r)
		}
	}
	return false
}

// jobPatience is how long a pod of the Job may be kept from starting.
const jobPatience = 30 * time.Second

// wait returns nil once the Job has succeeded, and *[rollout.Error] when it
// will not.
func (c command) wait(ctx context.Context, name string) error {
	var keptSince time.Time
	return poll.Until(ctx, c.timeouts.poll, func(ctx context.Context) (bool, error) {
		job, err := c.kube.BatchV1().Jobs(c.environment).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return false, errors.New("somebody removed the Job of the release command while it ran")
		case err != nil:
			c.step.Detail("the cluster does not answer, trying again")
			return false, nil
		}
		list, err := c.kube.CoreV1().Pods(c.environment).List(ctx, metav1.ListOptions{LabelSelector: batch.JobNameLabel + "=" + name})
		if err != nil {
			return false, nil
		}
		switch outcome(job) {
		case batch.JobComplete:
			return true, nil
		case batch.JobFailed:
			return false, &rollout.Error{Reasons: []rollout.Reason{jobReason(job, list.Items)}}
		}
		if job.Status.StartTime != nil {
			c.step.Detail("release command, " + time.Since(job.Status.StartTime.Time).Round(time.Second).String())
		}
		var kept []rollout.Reason
		for i := range list.Items {
			kept = append(kept, rollout.PodReasons(&list.Items[i])...)
		}
		if len(kept) == 0 {
			keptSince = time.Time{}
			return false, nil
		}
		if keptSince.IsZero() {
			keptSince = time.Now()
		}
		if time.Since(keptSince) < jobPatience {
			return false, nil
		}
		// It would start whenever what keeps it is gone, in the midst of
		// something else.
		err = c.kube.BatchV1().Jobs(c.environment).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("remove the release command, which does not start: %w", err)
		}
		return false, &rollout.Error{Reasons: kept}
	})
}

// outcome is how a Job ended, or empty when it has not.
func outcome(job *batch.Job) batch.JobConditionType {
	for _, condition := range job.Status.Conditions {
		if condition.Status == core.ConditionTrue && (condition.Type == batch.JobComplete || condition.Type == batch.JobFailed) {
			return condition.Type
		}
	}
	return ""
}

// jobReason says how the pod of a Job that failed ended.
func jobReason(job *batch.Job, pods []core.Pod) rollout.Reason {
	reason := rollout.Reason{Object: "release command", Reason: "Failed"}
	for _, condition := range job.Status.Conditions {
		if condition.Type == batch.JobFailed {
			reason.Reason, reason.Message = condition.Reason, condition.Message
		}
	}
	for _, pod := range pods {
		reason.Pod, reason.Node = pod.Name, pod.Spec.NodeName
		if pod.Status.Reason != "" {
			reason.Reason, reason.Message = pod.Status.Reason, pod.Status.Message
		}
		for _, container := range pod.Status.ContainerStatuses {
			reason.Container = container.Name
			if end := container.State.Terminated; end != nil && end.ExitCode != 0 {
				reason.ExitCode, reason.Signal = &end.ExitCode, end.Signal
				if pod.Status.Reason == "" {
					reason.Reason, reason.Message = end.Reason, end.Message
				}
			}
		}
	}
	if reason.Reason == "DeadlineExceeded" {
		reason.Message = "it took longer than release.timeout in berth.yaml allows"
		if d := job.Spec.Template.Spec.ActiveDeadlineSeconds; d != nil {
			reason.Message = fmt.Sprintf("it took longer than %s; release.timeout in berth.yaml allows more", time.Duration(*d)*time.Second)
		}
	}
	return reason
}

// templateOf returns a checksum of what a Job's pods are made of.
func templateOf(job *batch.Job) (string, error) {
	text, err := json.Marshal(job.Spec.Template)
	if err != nil {
		return "", fmt.Errorf("read the release command: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// jobOf returns the Job among what is applied apart, or nil.
func jobOf(apart engine.ResourceList) (*batch.Job, error) {
	if len(apart) == 0 {
		return nil, nil
	}
	object, ok := apart[0].Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("read the release command: unknown kind of object %T", apart[0].Object)
	}
	job := &batch.Job{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, job); err != nil {
		return nil, fmt.Errorf("read the release command: %w", err)
	}
	return job, nil
}
