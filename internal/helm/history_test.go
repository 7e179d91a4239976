package helm

import (
	"fmt"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
)

// past reads a history from one letter a revision: s served, f failed, b went
// back to an earlier one, D is deployed now.
func past(letters string) []*helmrelease.Release {
	var all []*helmrelease.Release
	for i, letter := range letters {
		r := &helmrelease.Release{Version: i + 1, Info: &helmrelease.Info{Status: common.StatusSuperseded}}
		switch letter {
		case 'f':
			r.Info.Status = common.StatusFailed
		case 'b':
			r.Info.RollbackRevision = 1
		case 'D':
			r.Info.Status = common.StatusDeployed
		}
		all = append(all, r)
	}
	return all
}

func TestForgotten(t *testing.T) {
	for _, test := range []struct {
		name, past string
		target     int
		gone       string
	}{
		{"nothing yet", "", 0, ""},
		{"fewer than are kept", "sD", 0, ""},
		{"as many, and the next", "ssD", 0, "1"},
		{"failed ones take no place", "ssfbfbfbD", 0, "1"},
		{"what failed before the first that is kept", "sfsfssD", 0, "1 2 3 4 5"},
		{"the one that serves is old", "sDssff", 0, "1"},
		{"all failed", "fffff", 0, ""},
		{"all failed, often", "ffffffff", 0, "1 2"},
		{"what is gone back to", "ssssD", 2, "1 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var gone []string
			for _, r := range forgotten(past(test.past), 3, test.target) {
				gone = append([]string{fmt.Sprint(r.Version)}, gone...)
			}
			if got := strings.Join(gone, " "); got != test.gone {
				t.Errorf("gone are %q, want %q", got, test.gone)
			}
		})
	}
}
