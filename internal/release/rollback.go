package release

import (
	"context"
	"fmt"

	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/fault"
	"berth/internal/helm"
	"berth/internal/progress"
)

// Rollback makes an earlier revision serve again, as a new revision. Revision 0
// is the last one that served before the present one and differs from it. When
// it does not come to serve, what served before does again, as in Deploy.
func (c *Client) Rollback(ctx context.Context, environment string, revision int, r progress.Reporter) (Revision, error) {
	if _, err := c.environment(environment); err != nil {
		return Revision{}, err
	}
	h, err := c.release(environment)
	if err != nil {
		return Revision{}, err
	}
	// Looked at before the lock is taken, for which there may be no namespace.
	if past, err := h.History(); err != nil || len(past) == 0 {
		if err == nil {
			err = notDeployed(environment)
		}
		return Revision{}, err
	}
	var made Revision
	err = c.lock(environment).Do(ctx, func(ctx, held context.Context) error {
		past, err := c.takeOver(h)
		if err != nil {
			return err
		}
		if err := c.resume(ctx, environment); err != nil {
			return err
		}
		to, err := target(past, revision)
		if err != nil {
			return err
		}
		if err := c.sameDatabase(ctx, environment, to); err != nil {
			return err
		}
		if err := c.checkRevision(ctx, environment, to); err != nil {
			return err
		}
		description := fmt.Sprintf("rollback to %d by %s", to.Version, c.who)
		made, err = c.change(ctx, held, h, past, change{
			environment: environment, image: imageOf(to), description: description,
			title: fmt.Sprintf("Roll %s back to revision %d", environment, to.Version),
			apply: func(how helm.Change) error { return c.toRevision(ctx, environment, h, to, how) },
		}, r)
		return err
	})
	return made, err
}

// target finds the revision to roll back to.
func target(past []*helmrelease.Release, revision int) (*helmrelease.Release, error) {
	if len(past) == 0 {
		return nil, ErrNotDeployed
	}
	if revision == 0 {
		if to := before(past); to != nil {
			return to, nil
		}
		return nil, fault.Usage("no revision served before the present one")
	}
	for _, p := range past {
		if p.Version != revision {
			continue
		}
		if !helm.Served(p) {
			return nil, fault.WithHint(fault.Usage("revision %d never served", revision), "see which did: berth history")
		}
		return p, nil
	}
	return nil, fault.WithHint(fault.Usage("there is no revision %d", revision),
		"the last %d that served are kept; see them: berth history", maxHistory)
}

// before returns the newest revision that served before the present one and
// differs from it: going back twice must not lead to the same place. When
// nothing serves at present, it is the newest one that ever did.
func before(past []*helmrelease.Release) *helmrelease.Release {
	var present *helmrelease.Release
	for i := len(past) - 1; i >= 0; i-- {
		p := past[i]
		switch {
		case !helm.Served(p):
		case present == nil && p.Info.Status == common.StatusDeployed && i == len(past)-1:
			present = p
		case present == nil || p.Manifest != present.Manifest:
			return p
		}
	}
	return nil
}
