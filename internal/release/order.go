package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/fault"
	"berth/internal/git"
	"berth/internal/helm"
	"berth/internal/progress"
)

// DeployForward deploys like [Client.Deploy], unless the environment serves a later
// commit than that of the application's folder. So when CI runs two deploys, the
// older one cannot win.
func (c *Client) DeployForward(ctx context.Context, environment, image string, r progress.Reporter) (Revision, error) {
	head, err := c.head(ctx)
	if err != nil {
		return Revision{}, err
	}
	return c.deployIf(ctx, environment, image, func(ctx context.Context, now *helmrelease.Release) error {
		if now == nil {
			return nil
		}
		return c.forward(ctx, environment, helm.Annotation(now, commitAnnotation), head)
	}, r)
}

// forward returns an error when a commit that serves comes after head. One on
// another line of history comes neither before nor after.
func (c *Client) forward(ctx context.Context, environment, serves, head string) error {
	if serves == "" || serves == head {
		return nil // it was deployed out of no repository, or is the same
	}
	goesOn, err := git.Before(ctx, c.config.Dir, serves, head)
	if err == nil && goesOn {
		return nil
	}
	later := false
	if err == nil {
		later, err = git.Before(ctx, c.config.Dir, head, serves)
	}
	switch {
	case err != nil:
		return fault.WithHint(fmt.Errorf("compare commit %s with the one that %s serves: %w", short(head), environment, err),
			"git fetch --unshallow; in GitHub Actions, fetch-depth: 0 of actions/checkout")
	case later:
		return fault.WithHint(fmt.Errorf("%s serves commit %s already, which is later than %s: nothing was deployed", environment, short(serves), short(head)),
			"to go back on purpose: berth rollback %s, or berth deploy without --forward", environment)
	}
	return nil
}

// Promotable returns the image that an environment has served for the commit of the
// application's folder. It is by digest, so it is exactly what served there.
func (c *Client) Promotable(ctx context.Context, environment string) (image string, err error) {
	head, err := c.head(ctx)
	if err != nil {
		return "", err
	}
	past, err := c.History(ctx, environment)
	if err != nil {
		return "", err
	}
	for _, revision := range slices.Backward(past) {
		if !revision.Served || revision.Commit != head || revision.Dirty {
			continue
		}
		if !strings.Contains(revision.Image, "@sha256:") {
			return "", fault.WithHint(fmt.Errorf("%s serves %s of commit %s by a tag, which may have been pushed again", environment, revision.Image, short(head)),
				"deploy it to %s by its digest: berth deploy %s --image REPOSITORY@sha256:…", environment, environment)
		}
		return revision.Image, nil
	}
	return "", fault.WithHint(fmt.Errorf("%s has never served commit %s", environment, short(head)),
		"deploy it there first: berth deploy %s; berth history %s lists what has served", environment, environment)
}

// head is the commit of the application's folder. There must be one.
func (c *Client) head(ctx context.Context) (string, error) {
	commit, err := git.Head(ctx, c.config.Dir)
	if err != nil {
		return "", fmt.Errorf("which commit this is: %w", err)
	}
	if commit.Hash == "" {
		return "", fault.Usage("%s is at no commit of a repository, so nothing can be told from it", c.config.Dir)
	}
	return commit.Hash, nil
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 10)] }
