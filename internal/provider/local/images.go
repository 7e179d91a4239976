package local

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// baseImage stands in for debian:trixie-slim where no registry can be reached.
const baseImage = registryName + "/base:trixie"

// imageStore builds images on this machine. They reach the nodes by the
// registry.
type imageStore struct{ layout layout }

// prepare makes the base image that the others are built on.
func (s imageStore) prepare(ctx context.Context, step progress.Step) error {
	if err := os.MkdirAll(s.options().Temp, 0o700); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	if s.buildah(ctx, "inspect", "--type", "image", baseImage) == nil {
		return nil
	}
	archive := s.layout.cached("base.tar")
	if !exists(archive) {
		step.Detail("fetching Debian's packages")
		partial := s.layout.cached("base.partial.tar")
		if err := run(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "trixie", partial); err != nil {
			return fmt.Errorf("make base image: %w", err)
		}
		if err := os.Rename(partial, archive); err != nil {
			return fmt.Errorf("keep base image: %w", err)
		}
	}
	step.Detail("importing")
	folder, err := os.MkdirTemp(s.options().Temp, "berth-base-")
	if err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	defer os.RemoveAll(folder)
	if err := os.Link(archive, filepath.Join(folder, "base.tar")); err != nil {
		if err := copyFile(archive, filepath.Join(folder, "base.tar")); err != nil {
			return fmt.Errorf("make base image: %w", err)
		}
	}
	dockerfile := filepath.Join(folder, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM scratch\nADD base.tar /\nCMD [\"bash\"]\n"), 0o644); err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	return s.buildah(ctx, "bud", "--isolation", "chroot", "--timestamp", "0", "--tag", baseImage, "--file", dockerfile, folder)
}

// build makes an image and returns its name in the store.
func (s imageStore) build(ctx context.Context, b provider.Build, r progress.Reporter) (reference string, err error) {
	builder, err := s.builder(ctx)
	if err != nil {
		return "", err
	}
	// Go's own images have no place here either: the base image with this
	// machine's toolchain mounted serves as one.
	args := map[string]string{"BASE": baseImage, "GO": baseImage}
	maps.Copy(args, b.Args)
	b.Args = args
	return builder.Build(ctx, b, registryName+"/"+b.Name, r)
}

// push takes what build made to the registry, unless it is there, and returns
// the reference by digest: what is released is what runs.
func (s imageStore) push(ctx context.Context, reference string, to registry, r progress.Reporter) (byDigest string, err error) {
	name, tag, _ := strings.Cut(strings.TrimPrefix(reference, registryName+"/"), ":")
	digest, err := to.find(ctx, name, tag)
	if err != nil {
		return "", err
	}
	if digest == "" {
		builder, err := s.builder(ctx)
		if err != nil {
			return "", err
		}
		if digest, err = builder.PushTo(ctx, reference, image.Registry{
			Address: to.address(), Certificates: to.certificates(), AuthFile: to.authFile(),
		}, r); err != nil {
			return "", err
		}
	}
	return registryName + "/" + name + "@" + digest, nil
}

func (s imageStore) builder(ctx context.Context) (*image.Builder, error) {
	volumes, err := s.toolchain(ctx)
	if err != nil {
		return nil, err
	}
	options := s.options()
	options.Volumes = volumes
	return image.NewBuildah(options)
}

// toolchain returns the mounts that bring this machine's Go into a build:
// read-only but for the caches.
func (s imageStore) toolchain(ctx context.Context) ([]string, error) {
	output, err := goCommand(ctx, "/", "env", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its folders: %w", err)
	}
	folders := strings.Fields(string(output))
	if len(folders) != 3 {
		return nil, fmt.Errorf("ask go for its folders: got %q", output)
	}
	for _, cache := range folders[1:] {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return nil, fmt.Errorf("make Go cache: %w", err)
		}
	}
	volumes := []string{
		folders[0] + ":/usr/local/go:ro",
		folders[1] + ":/root/go/pkg/mod",
		folders[2] + ":/root/.cache/go-build",
	}
	// What this machine trusts besides Debian's authorities, a company's proxy
	// say, the build must trust too. Go reads every file in this folder of
	// Fedora's as well, which Debian's packages leave alone.
	const bundle = "/etc/ssl/certs/ca-certificates.crt"
	if exists(bundle) {
		volumes = append(volumes, bundle+":/etc/pki/tls/certs/machine.crt:ro")
	}
	return volumes, nil
}

func (s imageStore) options() image.Buildah {
	return image.Buildah{
		Root:      s.layout.cached("buildah", "root"),
		RunRoot:   s.layout.cached("buildah", "run"),
		Driver:    "overlay",
		Isolation: "chroot",
		Temp:      s.layout.cached("tmp"), // which a purge removes, whatever ended a build
	}
}

func (s imageStore) buildah(ctx context.Context, arguments ...string) error {
	o := s.options()
	command := exec.CommandContext(ctx, "buildah", append([]string{"--root", o.Root, "--runroot", o.RunRoot, "--storage-driver", o.Driver}, arguments...)...)
	command.Env = append(os.Environ(), "TMPDIR="+o.Temp)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("buildah: %w: %s", err, lastLines(string(output), 3))
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}
