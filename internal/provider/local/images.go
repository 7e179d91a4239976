package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/image"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
)

// imageStore builds images on this machine. They reach the nodes by the
// registry.
type imageStore struct {
	registry registry
	reach    *reach
	// leaves says that images are for other machines.
	leaves bool
	// asItIs has no stand-in made and no program compiled: a stand-in that is not
	// there is [errNoStandIn].
	asItIs bool
}

// prepare makes what every build needs once the tools are there.
func (s imageStore) prepare(ctx context.Context, source string, release *prebuilt.Release, r progress.Reporter) error {
	// A purge removes this folder, whatever ended a build.
	if err := os.MkdirAll(s.registry.layout.cached("tmp"), 0o700); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	return s.builder().obtain(ctx, source, release, r)
}

// use calls work, with the builder running throughout if one of the images has to be
// built. Who finds that the registry has lost an image starts the builder for it.
func (s imageStore) use(ctx context.Context, builds []provider.Build, r progress.Reporter, work func() error) error {
	for _, b := range builds {
		if missing, err := s.toBuild(ctx, b, r); err != nil {
			return err
		} else if missing {
			return s.builder().use(ctx, work)
		}
	}
	return work()
}

// build makes an image in the builder's cache, for push to take it from there.
func (s imageStore) build(ctx context.Context, b provider.Build, r progress.Reporter) error {
	missing, err := s.toBuild(ctx, b, r)
	if !missing || err != nil {
		return err
	}
	_, err = s.solve(ctx, b, image.Result{}, r)
	return err
}

// toBuild reports whether an image has to be built: a release of berth may have it,
// and one of berth's own was built from the same before.
func (s imageStore) toBuild(ctx context.Context, b provider.Build, r progress.Reporter) (bool, error) {
	if layout, err := s.prebuilt(ctx, b, r); layout != "" || err != nil {
		return false, err
	}
	if _, own := ownProgram(b); !own {
		return true, nil // push looks at an application's files, which may be many
	}
	bases, err := image.Bases(b)
	if err != nil {
		return false, err
	}
	_, digest, err := s.before(ctx, b, bases)
	return digest == "", err
}

// push makes an image, takes the layers that are missing there to the registry,
// and returns the reference by digest: what is released is what runs. Layers
// stay uncompressed: between programs of one machine that is faster.
func (s imageStore) push(ctx context.Context, b provider.Build, r progress.Reporter) (byDigest string, err error) {
	layout, err := s.prebuilt(ctx, b, r)
	if err != nil {
		return "", err
	}
	if layout != "" {
		repository, err := s.registry.repository(b.Name)
		if err != nil {
			return "", err
		}
		digest, err := prebuilt.Push(ctx, layout, repository)
		if err != nil {
			return "", fmt.Errorf("take image %s to the registry: %w", b.Name, err)
		}
		return registryName + "/" + b.Name + "@" + digest, nil
	}
	bases, err := image.Bases(b)
	if err != nil {
		return "", err
	}
	inputs, digest, err := s.again(ctx, b, bases, r)
	if err != nil {
		return "", err
	}
	if digest != "" {
		return registryName + "/" + b.Name + "@" + digest, nil
	}
	digest, err = s.solve(ctx, b, image.Result{
		Output: []string{
			"type=image", "push=true", "push-by-digest=true", "compression=uncompressed",
			"name=" + s.registry.address() + "/" + b.Name,
		},
		Login: s.registry.authFile(),
	}, r)
	if err != nil {
		return "", err
	}
	if err := s.registry.tag(ctx, b.Name, digest, strings.TrimPrefix(digest, "sha256:")[:12]); err != nil {
		return "", err
	}
	if err := s.remember(b.Name, lastBuild{inputs, s.begins(ctx, b, bases), digest}); err != nil {
		return "", err
	}
	return registryName + "/" + b.Name + "@" + digest, nil
}

// prebuilt returns the OCI layout of an image that a release of berth has built
// already, bringing it into the cache first, or "" where there is none.
func (s imageStore) prebuilt(ctx context.Context, b provider.Build, r progress.Reporter) (layout string, err error) {
	if b.Prebuilt == nil {
		return "", nil
	}
	sources, err := image.Sources(b)
	if err != nil {
		return "", err
	}
	layout = s.registry.layout.cached("prebuilt", b.Name+"-"+sources)
	if exists(layout) {
		return layout, nil
	}
	if err := os.MkdirAll(filepath.Dir(layout), 0o700); err != nil {
		return "", fmt.Errorf("make folder of images: %w", err)
	}
	lock, err := openLock(layout + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := flock(ctx, lock, unix.LOCK_EX); err != nil || exists(layout) {
		return layout, err
	}
	if there, err := b.Prebuilt.Image(ctx, prebuilt.Part{Name: b.Name, Sources: sources}, layout, r); !there || err != nil {
		return "", err
	}
	earlier, err := filepath.Glob(s.registry.layout.cached("prebuilt", b.Name+"-*"))
	for _, other := range earlier {
		if !strings.HasPrefix(other, layout) {
			err = errors.Join(err, os.RemoveAll(other))
		}
	}
	return layout, err
}

func (s imageStore) solve(ctx context.Context, b provider.Build, to image.Result, r progress.Reporter) (digest string, err error) {
	bases, err := image.Bases(b)
	if err != nil {
		return "", err
	}
	if _, own := ownProgram(b); !own {
		// The answers are wanted once the builder has started.
		go s.reach.unreachable(ctx, bases)
		go s.reach.toolchain(ctx) //nolint:errcheck // who wants it asks again
	}
	err = s.builder().use(ctx, func() error {
		if to.Contexts, err = s.contexts(ctx, b, bases, r); err != nil {
			return err
		}
		digest, err = s.builder().client().Build(ctx, b, to, r)
		return err
	})
	return digest, err
}
