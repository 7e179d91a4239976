package local

import (
	"context"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// imageHold is this command's hold on the images: a lock that commands share
// which publish or release one, from before they rely on it being there until
// they end, and that pruning takes alone. What is pushed and not released yet
// is therefore never removed, and a killed command holds nothing.
type imageHold struct {
	sync.Mutex
	file *os.File
}

// hasImage is provider.Cluster's HasImage.
func (p *Provider) hasImage(ctx context.Context, reference string) (bool, error) {
	path, ours := strings.CutPrefix(reference, registryName+"/")
	if !ours {
		return true, nil // its own registry knows
	}
	if err := p.holdImages(ctx); err != nil {
		return false, err
	}
	name, version := path, "latest"
	if before, digest, ok := strings.Cut(path, "@"); ok {
		name, version = before, digest
		name, _, _ = strings.Cut(name, ":")
	} else if before, tag, ok := strings.Cut(path, ":"); ok {
		name, version = before, tag
	}
	digest, err := p.registry().find(ctx, name, version)
	return digest != "", err
}

// holdImages keeps every other command from pruning until this one ends.
func (p *Provider) holdImages(ctx context.Context) error {
	p.held.Lock()
	defer p.held.Unlock()
	if p.held.file != nil {
		return nil
	}
	file, err := openLock(p.layout.imageLock())
	if err != nil {
		return err
	}
	if err := flock(ctx, file, unix.LOCK_SH); err != nil {
		file.Close()
		return err
	}
	p.held.file = file
	return nil
}
