package release

import (
	"context"
	"strings"
	"testing"

	"berth/internal/fault"
	"berth/internal/progress"
)

// lose makes the cluster's provider say that an image is gone.
func lose(c *Client, gone string) {
	c.cluster.HasImage = func(_ context.Context, reference string) (bool, error) { return reference != gone, nil }
}

func TestRollbackToAnImageThatIsGoneChangesNothing(t *testing.T) {
	_, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	mustDeploy(t, c, "good:2")
	before := tell(t, c)
	lose(c, "good:1")
	_, err := c.Rollback(t.Context(), "production", 1, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "revision 1 needs image good:1, which is gone") || strings.Contains(err.Error(), "\n") ||
		!strings.Contains(fault.Hint(err), "berth deploy production") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	wantHistory(t, c, before...)
	lose(c, "good:3")
	if _, err := c.Rollback(t.Context(), "production", 1, progress.Discard); err != nil {
		t.Errorf("rollback to an image that is there: %v", err)
	}
}

func TestDeployOfAnImageThatIsNotThereChangesNothing(t *testing.T) {
	_, c := newWorld(t)
	lose(c, "berth.local/nothing:1")
	_, err := c.Deploy(t.Context(), "production", "berth.local/nothing:1", progress.Discard)
	if !fault.IsUsage(err) || !strings.Contains(err.Error(), "there is no image berth.local/nothing:1") || fault.Hint(err) == "" {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	if past := tell(t, c); len(past) > 0 {
		t.Errorf("the history is %v", past)
	}
}
