package local

import (
	"context"
	"fmt"
	"os"
	"strings"

	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// imageStore builds images on this machine. They reach the nodes by the
// registry.
type imageStore struct {
	registry registry
	reach    *reach
}

func (s imageStore) builder() builder { return builder{s.registry} }

// prepare makes what every build needs once the tools are there.
func (s imageStore) prepare(ctx context.Context, source string, r progress.Reporter) error {
	// A purge removes this folder, whatever ended a build.
	if err := os.MkdirAll(s.registry.layout.cached("tmp"), 0o700); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	return progress.Run(r, "Compile the image builder", func(step progress.Step) error {
		return s.builder().compile(ctx, source, step)
	})
}

// build makes an image in the builder's cache, for push to take it from there.
func (s imageStore) build(ctx context.Context, b provider.Build, r progress.Reporter) error {
	_, err := s.solve(ctx, b, image.Result{}, r)
	return err
}

// push makes an image, takes the layers that are missing there to the registry,
// and returns the reference by digest: what is released is what runs. Layers
// stay uncompressed: between programs of one machine that is faster.
func (s imageStore) push(ctx context.Context, b provider.Build, r progress.Reporter) (byDigest string, err error) {
	digest, err := s.solve(ctx, b, image.Result{
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
	return registryName + "/" + b.Name + "@" + digest, nil
}

func (s imageStore) solve(ctx context.Context, b provider.Build, to image.Result, r progress.Reporter) (digest string, err error) {
	err = s.builder().use(ctx, func() error {
		if to.Contexts, err = s.contexts(ctx, b, r); err != nil {
			return err
		}
		digest, err = s.builder().client().Build(ctx, b, to, r)
		return err
	})
	return digest, err
}
