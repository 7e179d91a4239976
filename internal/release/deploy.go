package release

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
		database, err := c.checkDatabase(ctx, environment, e, r)
		if err != nil {
			return err
		}
		if err := c.resume(ctx, environment); err != nil {
			return err
		}
		step.Detail("secrets")
		names, undo, err := c.secrets(ctx, environment, image, e, r)
		restore = undo
		vals = values(c.config, environment, c.cluster, image, names)
		if database.Letter != "" {
			vals = merge(vals, map[string]any{"postgresql": map[string]any{"server": database.Letter}})
		}
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

// What ends the step of a revision that came to nothing.
var (
	errNotServing = errors.New("it does not serve")
	errWorse      = errors.New("it answers worse than the one before")
)

// maxHistory is how many revisions can be gone back to. Each one is a Secret in
// the environment's namespace.
const maxHistory = 20

// hookTimeout bounds each hook of the chart, and the deleting of its objects.
const hookTimeout = 5 * time.Minute
