package local

import (
	"os"
	"strings"
	"testing"

	"berth/internal/progress"
)

// Without a cluster there is nothing to bring back or to stop, and a machine's
// start and stop must not fail for it.
func TestBootAndHaltWithoutACluster(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if err := Boot(t.Context(), progress.Discard); err != nil {
		t.Error(err)
	}
	if err := Halt(t.Context(), progress.Discard); err != nil {
		t.Error(err)
	}
	l, err := defaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	// One that is down, and whose binary somebody removed.
	if err := os.MkdirAll(l.in(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.cluster(), []byte(`{"nodes":[1],"network":"10.118.0.0/16","kubernetes":"/nonexistent"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Boot(t.Context(), progress.Discard); err == nil || !strings.Contains(err.Error(), "compiled Kubernetes is gone") {
		t.Errorf("got %v", err)
	}
	if err := Halt(t.Context(), progress.Discard); err != nil {
		t.Error(err)
	}
}
