package local

import (
	"errors"
	"testing"
)

func TestUnreadyNamesWhatIsMissing(t *testing.T) {
	for body, want := range map[string]string{
		"dial tcp 10.118.0.1:6443: connect: connection refused":                                 "it does not answer yet",
		"[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok":                                "etcd not ready",
		"[-]etcd failed\n[-]informer-sync failed\n[-]poststarthook/rbac/bootstrap-roles failed": "etcd, informer-sync, poststarthook/rbac/bootstrap-roles not ready",
		"[-]a failed [-]b failed [-]c failed [-]d failed [-]e failed":                           "a, b, c and 2 more are not ready",
	} {
		if got := unready(errors.New(body)); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
}
