package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/fault"
)

// lock keeps two commands from changing the cluster at once.
func (p *Provider) lock() (unlock func(), err error) {
	// The folder above is open: it shows the certificate to trust.
	if err = os.MkdirAll(filepath.Dir(p.layout.state), 0o755); err == nil {
		err = os.MkdirAll(p.layout.state, 0o700)
	}
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("make state folder: %w", err), "run the command as root: sudo make up")
	}
	file, err := openLock(p.layout.lock())
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fault.WithHint(errors.New("another berth command is changing the local cluster"), "wait for it to end")
	}
	return func() { file.Close() }, nil
}

func openLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return file, nil
}

// flock takes a lock on a file as soon as others let go of it.
func flock(ctx context.Context, file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
