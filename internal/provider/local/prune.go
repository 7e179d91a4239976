package local

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"oras.land/oras-go/v2/registry/remote"

	"berth/internal/provider/local/supervisor"
)

// imageHold is this command's hold on the images: a lock that commands share
// which publish or release one, from before they rely on it being there until
// they end, and that pruning takes alone. What is pushed and not released yet
// is therefore never removed, and a killed command holds nothing.
type imageHold struct {
	sync.Mutex
	file *os.File
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

// Prune implements provider.Pruner.
func (p *Provider) Prune(ctx context.Context, needed func(context.Context) ([]string, error)) error {
	p.held.Lock()
	defer p.held.Unlock()
	if p.held.file != nil {
		p.held.file.Close()
		p.held.file = nil
	}
	file, err := openLock(p.layout.imageLock())
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // its holder prunes in turn
	}
	keep, err := needed(ctx)
	if err != nil {
		return err
	}
	s, err := p.loadState()
	if err != nil {
		return fmt.Errorf("read the cluster's state: %w", err)
	}
	for _, reference := range s.Images {
		keep = append(keep, reference)
	}
	if err := p.pruneRegistry(ctx, keep); err != nil {
		return err
	}
	for _, number := range s.Nodes {
		n := p.node(number)
		if !supervisor.Running(p.layout.supervisor(), n.containerdPart()) {
			continue
		}
		if err := n.prune(ctx, keep); err != nil {
			return err
		}
	}
	return nil
}

// pruneRegistry deletes the manifests of images that are not to be kept. The
// registry sweeps up their layers by itself.
func (p *Provider) pruneRegistry(ctx context.Context, keep []string) error {
	client, err := p.registry().open()
	if err != nil {
		return err
	}
	var names []string
	if err := client.Repositories(ctx, "", func(page []string) error { names = append(names, page...); return nil }); err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, name := range names {
		repository, err := p.registry().repository(name)
		if err != nil {
			return err
		}
		if err := pruneRepository(ctx, repository, name, keep); err != nil {
			return fmt.Errorf("remove old images %s: %w", name, err)
		}
	}
	return nil
}

func pruneRepository(ctx context.Context, repository *remote.Repository, name string, keep []string) error {
	var tags []string
	if err := repository.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
		return err
	}
	// A manifest goes when none of its names is kept.
	names := map[string][]string{}
	for _, tag := range tags {
		found, err := repository.Resolve(ctx, tag)
		if err != nil {
			return err
		}
		digest := found.Digest.String()
		names[digest] = append(names[digest], registryName+"/"+name+":"+tag, registryName+"/"+name+"@"+digest)
	}
	for digest, references := range names {
		if keepsAny(keep, references) {
			continue
		}
		found, err := repository.Resolve(ctx, digest)
		if err == nil {
			err = repository.Delete(ctx, found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prune removes images from a node. Images that are not berth's stay:
// nobody here knows who else needs them.
func (n node) prune(ctx context.Context, keep []string) error {
	c, err := n.containers(ctx)
	if err != nil {
		return err
	}
	defer c.connection.Close()
	list, err := c.images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return fmt.Errorf("list images of %s: %w", n.name(), err)
	}
	for _, image := range list.Images {
		references := slices.Concat(image.RepoTags, image.RepoDigests)
		if keepsAny(keep, references) || slices.ContainsFunc(references, func(r string) bool { return !strings.HasPrefix(r, registryName+"/") }) {
			continue
		}
		if _, err := c.images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: image.Id}}); err != nil {
			return fmt.Errorf("remove %s from %s: %w", image.Id, n.name(), err)
		}
	}
	return nil
}

// keepsAny reports whether one of an image's names is to be kept. A reference
// with both a tag and a digest means the digest.
func keepsAny(keep, names []string) bool {
	return slices.ContainsFunc(keep, func(reference string) bool {
		if before, digest, ok := strings.Cut(reference, "@"); ok {
			slash := strings.LastIndexByte(before, '/')
			if colon := strings.LastIndexByte(before, ':'); colon > slash {
				reference = before[:colon] + "@" + digest
			}
		}
		return slices.Contains(names, reference)
	})
}
