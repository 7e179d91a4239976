package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// pausedAnnotation keeps how many replicas a Deployment had before it was
// paused, until it has them again, and marks cron jobs that were suspended. It
// outlives a berth that was killed.
const pausedAnnotation = "berth/paused-replicas"

// Pause stops an environment's application, so that nobody writes to its
// database, does work, and brings the application back whatever became of the
// work. It returns how long the application did not serve: from the end of its
// last pod, which serves while it drains, until all serve again. Nobody else
// may deploy meanwhile.
func (c *Client) Pause(ctx context.Context, environment string, r progress.Reporter, work func(context.Context) error) (outage time.Duration, err error) {
	if _, err := c.environment(environment); err != nil {
		return 0, err
	}
	h, err := c.release(environment)
	if err != nil {
		return 0, err
	}
	past, err := h.History()
	if err != nil {
		return 0, err
	}
	if len(past) == 0 {
		return 0, notDeployed(environment)
	}
	err = c.lock(environment).Do(ctx, func(ctx, held context.Context) error {
		ws, err := rollout.Workloads(past[len(past)-1].Manifest)
		if err != nil {
			return err
		}
		err = progress.Run(r, "Stop "+environment, func(step progress.Step) error {
			return c.stop(ctx, environment, ws, step)
		})
		stopped := time.Now()
		if err == nil {
			err = work(ctx)
		}
		if context.Cause(held) != nil {
			return err // somebody else is at work, and starts what they deploy
		}
		back := progress.Run(r, "Start "+environment, func(step progress.Step) error {
			if err := c.resume(held, environment); err != nil {
				return err
			}
			return c.rollout(environment, ws, c.timeouts.back, step).Wait(held)
		})
		outage = time.Since(stopped)
		return errors.Join(err, back)
	})
	return outage, err
}

// stop takes the application's pods away and waits until they have ended.
// Databases, which are StatefulSets, stay.
func (c *Client) stop(ctx context.Context, environment string, ws []rollout.Workload, step progress.Step) error {
	deployments := c.kube.AppsV1().Deployments(environment)
	for _, w := range ws {
		if w.Kind != "Deployment" {
			continue
		}
		d, err := deployments.Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("look at %s: %w", w, err)
		}
		if d.Annotations[pausedAnnotation] != "" {
			continue // by a run that was killed
		}
		replicas := int32(1)
		if d.Spec.Replicas != nil {
			replicas = *d.Spec.Replicas
		}
		if err := c.setReplicas(ctx, d, 0, strconv.Itoa(int(replicas))); err != nil {
			return err
		}
	}
	if err := c.suspend(ctx, environment, true); err != nil {
		return err
	}
	step.Detail("waiting for its pods to end")
	return poll.Until(ctx, c.timeouts.poll/4, func(ctx context.Context) (bool, error) {
		s, err := rollout.Take(ctx, kube.API{Interface: c.kube}, environment)
		if err != nil {
			return false, err
		}
		for i := range s.Pods {
			if s.Pods[i].Labels[batch.JobNameLabel] != "" && s.Pods[i].Labels["app.kubernetes.io/name"] == c.config.Name && !finished(&s.Pods[i]) {
				return false, nil // a run of a cron job, which has begun
			}
			for _, w := range ws {
				if w.Kind == "Deployment" && s.Belongs(&s.Pods[i], w.Name) && !finished(&s.Pods[i]) {
					return false, nil
				}
			}
		}
		return true, nil
	})
}

func finished(pod *core.Pod) bool {
	return pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
}

// suspend keeps the application's cron jobs from being run, or lets them again:
// what was due meanwhile is run then, once.
func (c *Client) suspend(ctx context.Context, environment string, suspended bool) error {
	jobs := c.kube.BatchV1().CronJobs(environment)
	list, err := c.cronJobs(ctx, environment)
	if err != nil {
		return err
	}
	note := "null"
	if suspended {
		note = `"suspended"`
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}},"spec":{"suspend":%t}}`, pausedAnnotation, note, suspended)
	for i := range list {
		// One that somebody else has suspended stays so.
		_, noted := list[i].Annotations[pausedAnnotation]
		now := list[i].Spec.Suspend
		if suspended && now != nil && *now || !suspended && !noted {
			continue
		}
		_, err := jobs.Patch(ctx, list[i].Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: own.Manager})
		if err != nil {
			return fmt.Errorf("suspend or resume cron job %s: %w", list[i].Name, err)
		}
	}
	return nil
}

// cronJobs are the application's in an environment.
func (c *Client) cronJobs(ctx context.Context, environment string) ([]batch.CronJob, error) {
	own := "app.kubernetes.io/name=" + c.config.Name + ",app.kubernetes.io/instance=" + c.config.Name
	list, err := c.kube.BatchV1().CronJobs(environment).List(ctx, metav1.ListOptions{LabelSelector: own})
	if err != nil {
		return nil, fmt.Errorf("look for cron jobs: %w", err)
	}
	return list.Items, nil
}

// resume gives paused Deployments their replicas back, and lets cron jobs run.
func (c *Client) resume(ctx context.Context, environment string) error {
	if err := c.suspend(ctx, environment, false); err != nil {
		return err
	}
	list, err := c.kube.AppsV1().Deployments(environment).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("look for what is paused: %w", err)
	}
	for i := range list.Items {
		d := &list.Items[i]
		was, paused := d.Annotations[pausedAnnotation]
		if !paused {
			continue
		}
		replicas, err := strconv.ParseInt(was, 10, 32)
		if err != nil {
			return fmt.Errorf("start deployment %s: its annotation %s is not a number: %w", d.Name, pausedAnnotation, err)
		}
		if err := c.setReplicas(ctx, d, int32(replicas), ""); err != nil {
			return err
		}
	}
	return nil
}

// setReplicas scales a Deployment and notes what it had before; empty removes
// the note.
func (c *Client) setReplicas(ctx context.Context, d *apps.Deployment, replicas int32, before string) error {
	var note any
	if before != "" {
		note = before
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{pausedAnnotation: note}},
		"spec":     map[string]any{"replicas": replicas},
	})
	if err != nil {
		return err
	}
	_, err = c.kube.AppsV1().Deployments(d.Namespace).Patch(ctx, d.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: own.Manager})
	if err != nil {
		return fmt.Errorf("scale deployment %s to %d: %w", d.Name, replicas, err)
	}
	return nil
}
