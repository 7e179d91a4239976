package digitalocean

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"berth/internal/fault"
)

// folder holds what berth keeps of the cluster on this machine.
func (p *Provider) folder() string {
	return filepath.Join(p.config.StateDir, "digitalocean", p.config.DigitalOcean.Cluster)
}

func (p *Provider) kubeconfig() string { return filepath.Join(p.folder(), "kubeconfig") }

func (p *Provider) makeFolder() error {
	if err := os.MkdirAll(p.folder(), 0o700); err != nil {
		return fmt.Errorf("make berth's folder: %w", err)
	}
	return nil
}

// lock keeps two commands on this machine from changing the cluster at once.
// The kernel takes the lock back when the process ends, however it ends.
func (p *Provider) lock() (unlock func(), err error) {
	if err := p.makeFolder(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(p.folder(), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock cluster %s: %w", p.config.DigitalOcean.Cluster, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.WithHint(fmt.Errorf("another berth is changing cluster %s", p.config.DigitalOcean.Cluster), "wait until it is done")
		}
		return nil, fmt.Errorf("lock cluster %s: %w", p.config.DigitalOcean.Cluster, err)
	}
	return func() { file.Close() }, nil
}

// writePrivate replaces a file in one step.
func writePrivate(path string, text []byte) error {
	part := path + ".new"
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}
