package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"

	"berth/internal/fault"
	"berth/internal/kube/own"
)

// History returns all revisions, oldest first; none when nothing is installed.
func (h *Release) History() ([]*helmrelease.Release, error) {
	found, err := h.config.Releases.History(h.name)
	if err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, fmt.Errorf("read the history of %s: %w", h.namespace, err)
	}
	revisions := make([]*helmrelease.Release, 0, len(found))
	for _, f := range found {
		r, ok := f.(*helmrelease.Release)
		if !ok {
			return nil, fmt.Errorf("read the history of %s: unknown kind of release %T", h.namespace, f)
		}
		revisions = append(revisions, r)
	}
	slices.SortFunc(revisions, func(a, b *helmrelease.Release) int { return a.Version - b.Version })
	return revisions, nil
}

// Own returns an error when the newest revision was not made by berth.
func (h *Release) Own(revisions []*helmrelease.Release) error {
	if len(revisions) == 0 || revisions[len(revisions)-1].Labels[own.ManagedBy] == own.Manager {
		return nil
	}
	return fault.WithHint(
		fmt.Errorf("namespace %s holds a Helm release %q that berth did not make", h.namespace, h.name),
		"give the application another name in berth.yaml, or remove that release: helm uninstall -n %s %s", h.namespace, h.name)
}

// Recover marks revisions that an interrupted run left pending as failed; Helm
// refuses to go on while one is. It must only be called with the lock held.
func (h *Release) Recover(revisions []*helmrelease.Release) error {
	for _, r := range revisions {
		if !r.Info.Status.IsPending() {
			continue
		}
		r.SetStatus(common.StatusFailed, r.Info.Description+interrupted)
		if err := h.config.Releases.Update(r); err != nil {
			return fmt.Errorf("mark interrupted revision %d as failed: %w", r.Version, err)
		}
	}
	return nil
}

const interrupted = ": interrupted before it served"

// Interrupted reports whether a revision is one that [Release.Recover] found
// pending: the program that made it did not live to see what became of it.
func Interrupted(r *helmrelease.Release) bool {
	return r.Info.Status == common.StatusFailed && strings.HasSuffix(r.Info.Description, interrupted)
}

// Describe records what became of a revision.
func (h *Release) Describe(revision int, description string) error {
	return h.amend(revision, func(r *helmrelease.Release) {
		r.Info.Description = description
		if r.Info.Status.IsPending() {
			r.Info.Status = common.StatusFailed
		}
	})
}

// Annotate adds to the annotations of a revision; see [Change].
func (h *Release) Annotate(revision int, annotations map[string]string) error {
	return h.amend(revision, func(r *helmrelease.Release) { annotate(r, annotations) })
}

// amend changes what is recorded of a revision.
func (h *Release) amend(revision int, change func(*helmrelease.Release)) error {
	found, err := h.config.Releases.Get(h.name, revision)
	if err != nil {
		return fmt.Errorf("read revision %d: %w", revision, err)
	}
	r, ok := found.(*helmrelease.Release)
	if !ok {
		return fmt.Errorf("read revision %d: unknown kind of release %T", revision, found)
	}
	change(r)
	if err := h.config.Releases.Update(r); err != nil {
		return fmt.Errorf("record what became of revision %d: %w", revision, err)
	}
	return nil
}

// Served reports whether a revision ever did: berth waits for that before Helm
// marks it.
func Served(r *helmrelease.Release) bool {
	return r.Info.Status == common.StatusDeployed || r.Info.Status == common.StatusSuperseded
}

// forget removes old revisions, so that with the next one there are at most as
// many as given that served and are of a content of their own. The one that
// serves now stays, and so does the one that is gone back to. Of the others
// there are at most twice as many, should nothing ever serve.
func (h *Release) forget(most, target int) error {
	if most == 0 {
		return nil
	}
	past, err := h.History()
	if err != nil {
		return err
	}
	for _, r := range forgotten(past, most, target) {
		if _, err := h.config.Releases.Delete(r.Name, r.Version); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
			return fmt.Errorf("remove old revision %d of %s: %w", r.Version, h.namespace, err)
		}
	}
	return nil
}

func forgotten(past []*helmrelease.Release, most, target int) (gone []*helmrelease.Release) {
	served, others := 0, 0
	for i := len(past) - 1; i >= 0; i-- {
		r := past[i]
		own := Served(r) && r.Info.RollbackRevision == 0
		if (served >= most-1 || !own && others >= 2*most) && r.Info.Status != common.StatusDeployed && r.Version != target {
			gone = append(gone, r)
			continue
		}
		if own {
			served++
		} else {
			others++
		}
	}
	return gone
}
