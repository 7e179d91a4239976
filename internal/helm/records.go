package helm

import (
	"maps"
	"strings"

	releaser "helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
)

// records is Helm's storage with what berth needs to tell from it later.
type records struct {
	driver.Driver
	release *Release
}

// Create describes a revision from the beginning, so that one which is under
// way, or was interrupted, says what it is and whose.
func (s records) Create(key string, r releaser.Releaser) error {
	if next, ok := r.(*helmrelease.Release); ok && s.release.doing != "" {
		next.Info.Description = s.release.doing
		s.release.number = next.Version
		annotate(next, s.release.annotations)
	}
	return s.Driver.Create(key, r)
}

// annotate adds to a revision what berth knows of it. Helm keeps labels for its
// own selectors, whose values are short and of few characters; annotations are
// its chart's, which the next revision of the same chart must not share.
func annotate(r *helmrelease.Release, annotations map[string]string) {
	if len(annotations) == 0 || r.Chart == nil || r.Chart.Metadata == nil {
		return
	}
	chart, metadata := *r.Chart, *r.Chart.Metadata
	metadata.Annotations = maps.Clone(metadata.Annotations)
	if metadata.Annotations == nil {
		metadata.Annotations = map[string]string{}
	}
	maps.Copy(metadata.Annotations, annotations)
	chart.Metadata = &metadata
	r.Chart = &chart
}

// Annotation returns one of the annotations that a revision was made with, or
// "".
func Annotation(r *helmrelease.Release, name string) string {
	if r.Chart == nil || r.Chart.Metadata == nil {
		return ""
	}
	return r.Chart.Metadata.Annotations[name]
}

// Update keeps that description when Helm puts its error in its place.
//
// And it keeps a failed revision failed. Helm marks one as superseded when the
// next one follows it with nothing deployed in between, and nobody could tell
// afterwards which revisions ever served.
func (s records) Update(key string, r releaser.Releaser) error {
	next, ok := r.(*helmrelease.Release)
	if !ok {
		return s.Driver.Update(key, r)
	}
	switch info := next.Info; info.Status {
	case common.StatusFailed:
		if next.Version == s.release.number && !strings.HasPrefix(info.Description, s.release.doing) {
			info.Description = s.release.doing + ": " + info.Description
		}
	case common.StatusSuperseded:
		if found, err := s.Get(key); err == nil {
			if before, ok := found.(*helmrelease.Release); ok && before.Info.Status == common.StatusFailed {
				info.Status = common.StatusFailed
			}
		}
	}
	return s.Driver.Update(key, r)
}
