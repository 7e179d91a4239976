package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/helm"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// change is one revision to be made.
type change struct {
	environment, image, description, title string
	// releaseCommand says whether it is run.
	releaseCommand bool
	// judging looks at how the revision answers; nil does not.
	judging *judging
	// annotations say more of the revision, besides who makes it.
	annotations map[string]string
	// between is called once what the application needs is applied, with that; nil does
	// nothing.
	between func(first engine.ResourceList) error
	// apply makes the revision and waits.
	apply func(helm.Change) error
	// restore puts back what is not in the release; nil for nothing.
	restore func(context.Context) error
}

// change makes a revision, and goes back when it does not serve.
func (c *Client) change(ctx, held context.Context, h *helm.Release, past []*helmrelease.Release, ch change, r progress.Reporter) (Revision, error) {
	if err := context.Cause(ctx); err != nil {
		if ch.restore != nil && context.Cause(held) == nil {
			err = errors.Join(err, ch.restore(held))
		}
		return Revision{}, err
	}
	started := time.Now()
	failed := &Failed{Environment: ch.environment, Image: ch.image}
	err := progress.Run(r, ch.title, func(step progress.Step) error {
		step.Detail("applying")
		explain := func(wait *rollout.Rollout, err error) error {
			failed.Cause = err
			if lost := new(rollout.Error); errors.As(err, &lost) {
				failed.Reasons, failed.Events = wait.Explain(ctx, lost, c.Secrets(held, ch.environment), started)
				failed.Cause = &rollout.Error{Reasons: failed.Reasons}
			}
			return failed.Cause
		}
		how := c.revision(ch.description, ch.annotations, func(resources engine.ResourceList) error {
			wait := c.rollout(ch.environment, workloads(resources), c.timeouts.deploy, step)
			err := wait.Wait(ctx)
			if err == nil {
				err = c.wayIn(ctx, ch.environment, started, step)
			}
			if err == nil && ch.judging != nil {
				err = ch.judging.watch(ctx, held, step)
				failed.Served = err != nil
			}
			return explain(wait, err)
		})
		if ch.releaseCommand {
			how.Steps.Between = func(first, apart engine.ResourceList, revision int) error {
				job, err := jobOf(apart)
				if err != nil {
					return err
				}
				// What starts beside its database may be given up before the database
				// serves for the first time, on a small machine.
				wait := c.rollout(ch.environment, workloads(first), c.timeouts.deploy, step)
				if err := wait.Wait(ctx); err != nil {
					return explain(wait, err)
				}
				if err := stage(ctx, c.stages.Ready); err != nil {
					return err
				}
				if job != nil {
					run := command{Client: c, environment: ch.environment, revision: revision, past: past, reporter: r, step: step}
					if err := run.run(ctx, job); err != nil {
						return explain(wait, err)
					}
				}
				return stage(ctx, c.stages.Released)
			}
		}
		if ch.between != nil {
			how.Steps.Between = func(first, _ engine.ResourceList, _ int) error { return ch.between(first) }
		}
		err := ch.apply(how)
		if failed.Cause == nil {
			failed.Cause = err
		}
		if len(failed.Reasons) > 0 {
			// The report, which follows, says why.
			if failed.Served {
				return errWorse
			}
			return errNotServing
		}
		return failed.Cause
	})
	after, herr := h.History()
	if herr != nil && err == nil {
		return Revision{}, herr
	}
	made := newest(after)
	if err == nil {
		return revisionOf(made, nil), nil
	}
	if context.Cause(held) != nil {
		// Somebody else is at work; what is there now is theirs to judge.
		return Revision{}, err
	}
	if ch.restore != nil {
		err = errors.Join(err, ch.restore(held))
	}
	if herr != nil {
		return Revision{}, errors.Join(err, herr)
	}
	if made == nil || made.Version == version(newest(past)) {
		// Nothing was applied, so there is nothing to go back from.
		return Revision{}, err
	}
	failed.Revision = made.Version
	if err := h.Describe(made.Version, ch.description+": failed: "+failed.why()); err != nil {
		failed.Cause = errors.Join(failed.Cause, err)
	}
	c.goBack(held, h, after, failed, r)
	return Revision{}, failed
}

// goBack makes the last revision that served do so again, and notes in failed
// how that went. It runs on although the caller gave up, for a bounded time,
// but not when the lock is lost.
func (c *Client) goBack(held context.Context, h *helm.Release, past []*helmrelease.Release, failed *Failed, r progress.Reporter) {
	var to *helmrelease.Release
	for _, p := range past {
		if helm.Served(p) {
			to = p
		}
	}
	if to == nil {
		return
	}
	failed.To = to.Version
	ctx, cancel := context.WithTimeoutCause(held, c.timeouts.back,
		fmt.Errorf("it did not serve within %s", c.timeouts.back))
	defer cancel()
	description := fmt.Sprintf("back to %d after %d failed, by %s", to.Version, failed.Revision, c.who)
	failed.Stuck = progress.Run(r, fmt.Sprintf("Go back to revision %d", to.Version), func(step progress.Step) error {
		return c.toRevision(ctx, failed.Environment, h, to, c.revision(description, nil, func(resources engine.ResourceList) error {
			return c.rollout(failed.Environment, workloads(resources), c.timeouts.back, step).Wait(ctx)
		}))
	})
	after, err := h.History()
	switch {
	case err != nil:
		failed.Stuck = errors.Join(failed.Stuck, err)
	case failed.Stuck == nil:
		failed.Back = newest(after).Version
	case newest(after).Version > failed.Revision:
		failed.Stuck = errors.Join(failed.Stuck, h.Describe(newest(after).Version, description+": failed: "+failed.Stuck.Error()))
	}
}

// toRevision makes a new revision out of an old one.
func (c *Client) toRevision(ctx context.Context, environment string, h *helm.Release, to *helmrelease.Release, how helm.Change) error {
	if err := c.handReplicas(ctx, environment, to.Config); err != nil {
		return err
	}
	return h.Rollback(to.Version, how)
}

// rollout returns what waits for workloads of an environment.
func (c *Client) rollout(environment string, ws []rollout.Workload, deadline time.Duration, step progress.Step) *rollout.Rollout {
	return &rollout.Rollout{
		Client: kube.API{Interface: c.kube}, Namespace: environment, Workloads: ws,
		Poll: c.timeouts.poll, Deadline: deadline, Detail: step.Detail,
	}
}

// workloads are those among what Helm applied.
func workloads(resources engine.ResourceList) []rollout.Workload {
	var ws []rollout.Workload
	for _, info := range resources {
		if kind := info.Mapping.GroupVersionKind.Kind; kind == "Deployment" || kind == "StatefulSet" {
			ws = append(ws, rollout.Workload{Kind: kind, Name: info.Name})
		}
	}
	return ws
}

// revision is how Helm makes one.
func (c *Client) revision(description string, annotations map[string]string, wait helm.Await) helm.Change {
	all := map[string]string{whoAnnotation: c.who}
	maps.Copy(all, annotations)
	return helm.Change{
		Description: description, Annotations: all, Await: wait, Steps: &helm.Steps{Of: stepOf},
		Timeout: hookTimeout, MaxHistory: maxHistory,
	}
}

// takeOver reads an environment's history and repairs what an interrupted run
// left behind.
func (c *Client) takeOver(h *helm.Release) ([]*helmrelease.Release, error) {
	past, err := h.History()
	if err != nil {
		return nil, err
	}
	if err := h.Own(past); err != nil {
		return nil, err
	}
	if n := len(past); n > 0 && (past[n-1].Info.Status == common.StatusUninstalling || past[n-1].Info.Status == common.StatusUninstalled) {
		// A removal that was interrupted is brought to its end.
		if err := h.Uninstall(hookTimeout); err != nil {
			return nil, fmt.Errorf("finish removing the release: %w", err)
		}
		return nil, nil
	}
	return past, h.Recover(past)
}
