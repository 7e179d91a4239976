package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/fault"
	"berth/internal/kube/own"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// Restarted lists what a restart has replaced.
type Restarted struct {
	Environment string `json:"environment"`
	// Revision is the one that serves, before and after.
	Revision int `json:"revision"`
	// Processes are those whose pods are new.
	Processes []string `json:"processes"`
}

const (
	// restartedAnnotation is on the pods' template and makes it another one.
	restartedAnnotation = "berth/restarted"
	// restarter is the field manager that owns the annotation. The manager of
	// deploys does not: what it applies neither takes the annotation away, which
	// would restart everything once more, nor counts it as a difference.
	restarter = own.Manager + "-restart"
)

// Restart replaces the pods of an environment's processes, or of the one named,
// by new ones of the same revision, and returns once they serve. When they do
// not, the pods that served before go on, and Restart returns [*Failed].
func (c *Client) Restart(ctx context.Context, environment, process string, r progress.Reporter) (Restarted, error) {
	restarted := Restarted{Environment: environment}
	if _, err := c.environment(environment); err != nil {
		return restarted, err
	}
	h, err := c.release(environment)
	if err != nil {
		return restarted, err
	}
	if past, err := h.History(); err != nil || len(past) == 0 {
		if err == nil {
			err = notDeployed(environment)
		}
		return restarted, err
	}
	err = c.lock(environment).Do(ctx, func(ctx, held context.Context) error {
		past, err := c.takeOver(h)
		if err != nil {
			return err
		}
		if len(past) == 0 {
			return notDeployed(environment)
		}
		if err := c.resume(ctx, environment); err != nil {
			return err
		}
		now := newest(past)
		ws, err := rollout.Workloads(now.Manifest)
		if err != nil {
			return err
		}
		chosen, names, err := c.restartable(ctx, environment, ws, process)
		if err != nil {
			return err
		}
		restarted.Revision, restarted.Processes = now.Version, names
		failed := &Failed{Environment: environment, Image: imageOf(now), Revision: now.Version, Restart: true}
		return c.restart(ctx, held, chosen, failed, r)
	})
	return restarted, err
}

// restartable chooses the Deployments of a release that are meant, with the
// names of their processes. Those of services, whose pods carry the name of
// what they run, are not among them.
func (c *Client) restartable(ctx context.Context, environment string, ws []rollout.Workload, process string) (chosen []rollout.Workload, names []string, err error) {
	deployments, err := c.kube.AppsV1().Deployments(environment).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("look at the processes: %w", err)
	}
	var all []string
	for _, d := range deployments.Items {
		w := rollout.Workload{Kind: "Deployment", Name: d.Name}
		name := "web"
		if d.Name != c.config.Name {
			if name = strings.TrimPrefix(d.Name, c.config.Name+"-"); d.Spec.Template.Labels["app.kubernetes.io/name"] != c.config.Name {
				continue
			}
		}
		if !slices.Contains(ws, w) {
			continue
		}
		all = append(all, name)
		if process == "" || process == name {
			chosen, names = append(chosen, w), append(names, name)
		}
	}
	switch {
	case len(chosen) > 0:
		return chosen, names, nil
	case len(all) == 0:
		return nil, nil, fault.Usage("%s has no process that runs all the time", environment)
	}
	return nil, nil, fault.WithHint(fault.Usage("%s has no process %q that runs all the time", environment, process), "it has: %s", strings.Join(all, ", "))
}

// restart marks the templates of Deployments and waits; it puts back what they
// said before when the new pods do not serve.
func (c *Client) restart(ctx, held context.Context, ws []rollout.Workload, failed *Failed, r progress.Reporter) error {
	environment := failed.Environment
	before := map[string]*string{}
	started := time.Now()
	err := progress.Run(r, "Restart "+environment, func(step progress.Step) error {
		mark := started.UTC().Format(time.RFC3339) + " by " + c.who
		for _, w := range ws {
			d, err := c.kube.AppsV1().Deployments(environment).Get(ctx, w.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("look at %s: %w", w, err)
			}
			before[w.Name] = nil
			if text, ok := d.Spec.Template.Annotations[restartedAnnotation]; ok {
				before[w.Name] = &text
			}
			if err := c.mark(ctx, environment, w, &mark); err != nil {
				return err
			}
		}
		wait := c.rollout(environment, ws, c.timeouts.deploy, step)
		failed.Cause = wait.Wait(ctx)
		if lost := new(rollout.Error); errors.As(failed.Cause, &lost) {
			failed.Reasons, failed.Events = wait.Explain(ctx, lost, c.Secrets(held, environment), started)
			failed.Cause = &rollout.Error{Reasons: failed.Reasons}
		}
		return failed.Cause
	})
	if err == nil {
		return nil
	}
	if context.Cause(held) != nil {
		return err // somebody else is at work; what is there now is theirs
	}
	if failed.Cause == nil {
		failed.Cause = err
	}
	back, cancel := context.WithTimeoutCause(held, c.timeouts.back, fmt.Errorf("they did not serve within %s", c.timeouts.back))
	defer cancel()
	failed.To = failed.Revision
	failed.Stuck = progress.Run(r, "Go on with the pods from before", func(step progress.Step) error {
		var problems []error
		for _, w := range ws {
			if text, touched := before[w.Name]; touched {
				problems = append(problems, c.mark(back, environment, w, text))
			}
		}
		if err := errors.Join(problems...); err != nil {
			return err
		}
		return c.rollout(environment, ws, c.timeouts.back, step).Wait(back)
	})
	return failed
}

// mark sets the annotation of a Deployment's template, or removes it.
func (c *Client) mark(ctx context.Context, environment string, w rollout.Workload, text *string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{restartedAnnotation: text}},
	}}})
	if err != nil {
		return err
	}
	_, err = c.kube.AppsV1().Deployments(environment).Patch(ctx, w.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: restarter})
	if err != nil {
		return fmt.Errorf("restart %s: %w", w, err)
	}
	return nil
}
