package local

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"oras.land/oras-go/v2/registry/remote"

	"berth/internal/provider/local/supervisor"
)

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
