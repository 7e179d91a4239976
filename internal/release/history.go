package release

import (
	"context"
	"fmt"

	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/fault"
	"berth/internal/helm"
)

// History returns an environment's revisions, oldest first: the last 20 that
// served, and what failed since the first of those. It returns [ErrNotDeployed]
// when there are none.
func (c *Client) History(ctx context.Context, environment string) ([]Revision, error) {
	if _, err := c.environment(environment); err != nil {
		return nil, err
	}
	h, err := c.release(environment)
	if err != nil {
		return nil, err
	}
	past, err := h.History()
	if err != nil {
		return nil, err
	}
	if err := h.Own(past); err != nil {
		return nil, err
	}
	if len(past) == 0 {
		return nil, notDeployed(environment)
	}
	return revisions(past), nil
}

func revisions(past []*helmrelease.Release) []Revision {
	all := make([]Revision, 0, len(past))
	for i, r := range past {
		var next *helmrelease.Release
		if i+1 < len(past) {
			next = past[i+1]
		}
		all = append(all, revisionOf(r, next))
	}
	return all
}

// revisionOf turns Helm's record into a Revision; next is the one after it, or
// nil.
func revisionOf(r, next *helmrelease.Release) Revision {
	revision := Revision{
		Number: r.Version, Image: imageOf(r), When: r.Info.LastDeployed,
		Served: helm.Served(r), Description: r.Info.Description,
	}
	revision.Who = helm.Annotation(r, whoAnnotation)
	revision.Commit, revision.Dirty = helm.Annotation(r, commitAnnotation), helm.Annotation(r, dirtyAnnotation) == "true"
	switch status := r.Info.Status; {
	case status == common.StatusDeployed:
		revision.State = StateDeployed
	case status == common.StatusSuperseded && next != nil && next.Info.RollbackRevision != 0 && helm.Served(next):
		revision.State = StateRolledBack
	case status == common.StatusSuperseded:
		revision.State = StateSuperseded
	case status.IsPending():
		revision.State = StatePending
	default:
		revision.State = StateFailed
	}
	return revision
}

// What a revision's annotations say of it.
const (
	whoAnnotation    = "berth/who"
	commitAnnotation = "berth/commit"
	dirtyAnnotation  = "berth/dirty"
)

// imageOf returns the image that a revision runs.
func imageOf(r *helmrelease.Release) string {
	image, _ := r.Config["image"].(map[string]any)
	reference, _ := image["reference"].(string)
	return reference
}

func notDeployed(environment string) error {
	return fault.WithHint(fmt.Errorf("%s: %w", environment, ErrNotDeployed), "berth deploy %s", environment)
}

func newest(past []*helmrelease.Release) *helmrelease.Release {
	if len(past) == 0 {
		return nil
	}
	return past[len(past)-1]
}

func version(r *helmrelease.Release) int {
	if r == nil {
		return 0
	}
	return r.Version
}
