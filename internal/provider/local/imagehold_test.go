package local

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAnImageIsHeldWhenPruningHasEnded(t *testing.T) {
	l := layout{t.TempDir(), t.TempDir()}
	file, err := openLock(l.imageLock())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	p := &Provider{layout: l}
	go func() { held <- p.holdImages(t.Context()) }()
	select {
	case err := <-held:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	file.Close()
	if err := <-held; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if file, err = openLock(l.imageLock()); err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := flock(ctx, file, unix.LOCK_EX); err == nil {
		t.Error("took a lock that another holds")
	}
}
