package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/config"
	"berth/internal/git"
	"berth/internal/helm"
	"berth/internal/images"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// Free returns [kube.ErrLocked] while another command changes an environment, so
// that nothing is built for a deploy that would fail.
func (c *Client) Free(ctx context.Context, environment string) error {
	return c.lock(environment).Free(ctx)
}

// Deploy releases an image to an environment and returns once it serves. If it does
// not come to serve, Deploy rolls back to the last revision that did and returns
// [*Failed], which says why. A deploy that would change nothing makes no revision:
// it returns the present one, with Unchanged set.
func (c *Client) Deploy(ctx context.Context, environment, image string, r progress.Reporter) (Revision, error) {
	return c.deployIf(ctx, environment, image, func(context.Context, *helmrelease.Release) error { return nil }, r)
}

// deployIf deploys unless a condition is an error. It is asked under the lock,
// of the revision that serves then; nil for none.
func (c *Client) deployIf(ctx context.Context, environment, image string, condition func(context.Context, *helmrelease.Release) error, r progress.Reporter) (Revision, error) {
	e, err := c.environment(environment)
	if err != nil {
		return Revision{}, err
	}
	if image == "" {
		return Revision{}, errors.New("deploy without an image")
	}
	if err := c.checkImage(ctx, environment, image); err != nil {
		return Revision{}, err
	}
	if err := c.scalable(environment, e.Values); err != nil {
		return Revision{}, err
	}
	standard, err := c.podSecurity(ctx, environment)
	if err != nil {
		return Revision{}, err
	}
	if err := kube.EnsureNamespace(ctx, c.kube, environment, standard); err != nil {
		return Revision{}, err
	}
	var revision Revision
	err = c.lock(environment).Do(ctx, func(ctx, held context.Context) error {
		revision, err = c.deploy(ctx, held, environment, e, image, condition, r)
		return err
	})
	return revision, err
}

func (c *Client) deploy(ctx, held context.Context, environment string, e config.Environment, image string, condition func(context.Context, *helmrelease.Release) error, r progress.Reporter) (Revision, error) {
	h, err := c.release(environment)
	if err != nil {
		return Revision{}, err
	}
	var past []*helmrelease.Release
	var vals map[string]any
	var restore func(context.Context) error
	err = progress.Run(r, "Prepare "+environment, func(step progress.Step) error {
		if past, err = c.takeOver(h); err != nil {
			return err
		}
		if err := condition(ctx, serving(past)); err != nil {
			return err
		}
		if err := c.checkDatabase(ctx, environment, e, r); err != nil {
			return err
		}
		if err := c.resume(ctx, environment); err != nil {
			return err
		}
		step.Detail("secrets")
		names, undo, err := c.secrets(ctx, environment, image, e, r)
		restore = undo
		vals = values(c.config, environment, c.cluster, image, names)
		return err
	})
	if err != nil {
		return Revision{}, err
	}
	commit, err := git.Head(ctx, c.config.Dir)
	if err != nil {
		r.Note(fmt.Sprintf("the history will name no commit: %v", err))
	}
	annotations := map[string]string{commitAnnotation: commit.Hash, dirtyAnnotation: strconv.FormatBool(commit.Dirty)}
	if now, err := c.unchanged(ctx, environment, h, past, vals); err != nil {
		return Revision{}, errors.Join(err, restore(held))
	} else if now != nil {
		if commit.Hash != "" && helm.Annotation(now, commitAnnotation) != commit.Hash {
			// The commit that it serves now: what is judged by it later is not
			// older than this one.
			if err := h.Annotate(now.Version, annotations); err != nil {
				return Revision{}, err
			}
		}
		return c.same(ctx, environment, now, image, r)
	}
	description := fmt.Sprintf("deploy %s by %s", images.Short(image), c.who)
	return c.change(ctx, held, h, past, change{
		environment: environment, image: image, description: description, restore: restore,
		annotations: annotations, judging: c.judging(ctx, environment, past, r),
		title: fmt.Sprintf("Release %s to %s", images.Short(image), environment), releaseCommand: true,
		apply: func(how helm.Change) error {
			chart, err := c.chart()
			if err != nil {
				return err
			}
			if err := c.handReplicas(ctx, environment, vals); err != nil {
				return err
			}
			return h.Apply(ctx, chart, vals, len(past) > 0, how)
		},
	}, r)
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

// same returns the present revision, which nothing changed of, once requests
// reach it.
func (c *Client) same(ctx context.Context, environment string, now *helmrelease.Release, image string, r progress.Reporter) (Revision, error) {
	err := progress.Run(r, fmt.Sprintf("Look at revision %d of %s", now.Version, environment), func(step progress.Step) error {
		return c.wayIn(ctx, environment, time.Now(), step)
	})
	if err != nil {
		return Revision{}, fmt.Errorf("nothing changed, but revision %d is not reached: %w", now.Version, err)
	}
	r.Note(fmt.Sprintf("%s: nothing changed, revision %d still serves %s", environment, now.Version, images.Short(image)))
	revision := revisionOf(now, nil)
	revision.Unchanged = true
	return revision, nil
}

// unchanged returns the present revision when a deploy would make the same one
// again and it serves.
func (c *Client) unchanged(ctx context.Context, environment string, h *helm.Release, past []*helmrelease.Release, vals map[string]any) (*helmrelease.Release, error) {
	if len(past) == 0 || past[len(past)-1].Info.Status != common.StatusDeployed {
		return nil, nil
	}
	now := past[len(past)-1]
	chart, err := c.chart()
	if err != nil {
		return nil, err
	}
	manifest, err := h.Render(chart, vals)
	if err != nil || manifest != now.Manifest {
		return nil, err
	}
	ws, err := rollout.Workloads(manifest)
	if err != nil {
		return nil, err
	}
	missing, err := rollout.Serving(ctx, kube.API{Interface: c.kube}, environment, ws)
	if err != nil || len(missing) > 0 {
		return nil, err
	}
	return now, nil
}

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

// What ends the step of a revision that came to nothing.
var (
	errNotServing = errors.New("it does not serve")
	errWorse      = errors.New("it answers worse than the one before")
)

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

// maxHistory is how many revisions can be gone back to. Each one is a Secret in
// the environment's namespace.
const maxHistory = 20

// hookTimeout bounds each hook of the chart, and the deleting of its objects.
const hookTimeout = 5 * time.Minute

// revision is how Helm makes one.
func (c *Client) revision(description string, annotations map[string]string, wait helm.Await) helm.Change {
	all := map[string]string{whoAnnotation: c.who}
	maps.Copy(all, annotations)
	return helm.Change{
		Description: description, Annotations: all, Await: wait, Steps: &helm.Steps{Of: stepOf},
		Timeout: hookTimeout, MaxHistory: maxHistory,
	}
}

// Secrets returns what must not be shown of an environment, as far as it can be
// read.
func (c *Client) Secrets(ctx context.Context, environment string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var all []string
	for _, name := range c.config.SecretsOf(environment) {
		all = append(all, c.config.DotEnv[name], c.config.DotEnv[config.OwnSecret(environment, name)])
	}
	secrets := []string{c.config.Name + "-env", c.config.Name + "-postgresql"}
	for service := range c.config.Services {
		secrets = append(secrets, serviceSecret(c.config, service))
	}
	for _, name := range secrets {
		secret, err := kube.OwnSecret(ctx, c.kube, environment, name)
		if err != nil || secret == nil {
			continue
		}
		for _, value := range secret.Data {
			all = append(all, string(value))
		}
	}
	return all
}
