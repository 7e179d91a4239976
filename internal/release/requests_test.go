package release

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/progress"
)

func TestRequests(t *testing.T) {
	_, c, i := judgedWorld(t)
	if _, err := c.Requests(t.Context(), "production", time.Millisecond, progress.Discard); !errors.Is(err, ErrNotDeployed) {
		t.Errorf("nothing deployed: %v", err)
	}
	mustDeploy(t, c, "good:1")
	i.failing["good:1"] = 3
	got, err := c.Requests(t.Context(), "production", time.Millisecond, progress.Discard)
	if err != nil || len(got) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	quarter := 0.25
	want := Requests{
		Revision: 1, Pods: 2, Seconds: got[0].Seconds, Requests: 200, P50: &quarter, P99: &quarter, Most: 0.5,
		Classes: map[string]int{"1xx": 0, "2xx": 194, "3xx": 0, "4xx": 0, "5xx": 6},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
	c.cluster.Ingress = nil
	if _, err := c.Requests(t.Context(), "production", time.Millisecond, progress.Discard); !errors.Is(err, ErrForeignIngress) {
		t.Errorf("another's ingress: %v", err)
	}
}
