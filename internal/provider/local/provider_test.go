package local

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"berth/internal/config"
)

// Hardened machines give root a umask that hides what others have to read.
func TestRootsUmaskHidesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("run as root")
	}
	before := unix.Umask(0o077)
	defer unix.Umask(before)
	newProvider(config.Local{}, layout{t.TempDir(), t.TempDir()}, network{})
	if got := unix.Umask(0o077); got != 0o022 {
		t.Errorf("the umask is %04o", got)
	}
}
