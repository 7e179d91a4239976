package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// registry is the host part of local images' names. Nothing answers there: the
// nodes have the images already.
const registry = "berth.local"

// keptImages is how many builds of an image are kept besides those that the
// cluster needs: the next one is probably much the same.
const keptImages = 20

// baseImage stands in for Debian's own where no registry can be reached; standIns
// are the names that a Dockerfile calls those by. Where their registry answers,
// its image is newer and is the one that is taken.
const baseImage = registry + "/base:trixie"

var standIns = []string{
	"docker.io/library/debian:trixie-slim", "docker.io/library/debian:trixie",
	"docker.io/library/debian:stable-slim", "docker.io/library/debian:stable",
}

// registries has an image without a registry in its name come from Docker Hub,
// as in Docker itself.
const registries = "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"disabled\"\n"

// imageStore builds images and keeps an archive of each, which every node's
// containerd imports: those that are there now, and those to come.
type imageStore struct {
	layout layout
	// needed returns the references that the cluster needs, as
	// [images.Needed], or an error where it does not answer.
	needed func(context.Context) ([]string, error)
}

// alone does work on the store that no other command may do at the same time.
func (s imageStore) alone(ctx context.Context, work func() error) error {
	if err := os.MkdirAll(s.layout.state, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	file, err := os.OpenFile(s.layout.in("images.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the images: %w", err)
	}
	defer file.Close() // which gives the lock back, as any end of the process does
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return work()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock the images: %w", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// prepare makes the base image that the others are built on.
func (s imageStore) prepare(ctx context.Context, step progress.Step) error {
	if err := os.MkdirAll(s.options().Temp, 0o700); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	if err := os.WriteFile(s.options().Registries, []byte(registries), 0o644); err != nil {
		return fmt.Errorf("name the registry of images without one: %w", err)
	}
	if s.buildah(ctx, "inspect", "--type", "image", standIns[len(standIns)-1]) == nil {
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
	if err := s.buildah(ctx, "bud", "--isolation", "chroot", "--timestamp", "0", "--tag", baseImage, "--file", dockerfile, folder); err != nil {
		return err
	}
	return s.buildah(ctx, append([]string{"tag", baseImage}, standIns...)...)
}

// build makes an image and its archive, and returns its reference.
func (s imageStore) build(ctx context.Context, b provider.Build, r progress.Reporter) (reference string, err error) {
	volumes, err := s.toolchain(ctx)
	if err != nil {
		return "", err
	}
	options := s.options()
	options.Volumes = volumes
	builder, err := image.NewBuildah(options)
	if err != nil {
		return "", err
	}
	// Go's own images have no place here either: the base image with this
	// machine's toolchain mounted serves as one.
	args := map[string]string{"BASE": baseImage, "GO": baseImage}
	maps.Copy(args, b.Args)
	b.Args = args
	reference, err = builder.Build(ctx, b, registry+"/"+b.Name, r)
	if err != nil {
		return "", err
	}
	archive := s.archive(reference)
	if !exists(archive) {
		if err := os.MkdirAll(s.layout.images(), 0o700); err != nil {
			return "", fmt.Errorf("make image folder: %w", err)
		}
		if err := builder.Export(ctx, reference, archive, r); err != nil {
			return "", err
		}
	}
	return reference, s.alone(ctx, func() error { return s.forget(ctx, archive) })
}

// forget removes old archives of an image, and marks the one in use as the
// latest. Those stay that the cluster needs, whatever was built since: another
// environment may run an image that was built long ago, and a pod of it may
// start anywhere at any time.
func (s imageStore) forget(ctx context.Context, archive string) error {
	now := time.Now()
	if err := os.Chtimes(archive, now, now); err != nil {
		return fmt.Errorf("mark image: %w", err)
	}
	name, _, _ := strings.Cut(filepath.Base(archive), "@")
	archives, err := filepath.Glob(filepath.Join(s.layout.images(), name+"@*.tar"))
	if err != nil {
		return err
	}
	modified := func(file string) time.Time {
		info, err := os.Stat(file)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(archives, func(a, b string) int { return modified(b).Compare(modified(a)) })
	if len(archives) <= keptImages {
		return nil
	}
	needed, err := s.needed(ctx)
	if err != nil {
		return nil // nobody can tell now; a later build removes them
	}
	for _, old := range archives[keptImages:] {
		if slices.Contains(needed, s.reference(old)) {
			continue
		}
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("remove old image: %w", err)
		}
	}
	return nil
}

// archive is the file of a reference: berth.local/name:tag becomes name@tag.tar.
func (s imageStore) archive(reference string) string {
	name := strings.TrimPrefix(reference, registry+"/")
	return filepath.Join(s.layout.images(), strings.Replace(name, ":", "@", 1)+".tar")
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
		Root:       s.layout.cached("buildah", "root"),
		RunRoot:    s.layout.cached("buildah", "run"),
		Driver:     "overlay",
		Isolation:  "chroot",
		Registries: s.layout.cached("registries.conf"),
		Temp:       s.layout.cached("tmp"), // which a purge removes, whatever ended a build
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

// importInto makes a node's containerd hold the images that there are archives
// of, and none that were forgotten.
func (s imageStore) importInto(ctx context.Context, n node, step progress.Step) error {
	archives, err := filepath.Glob(filepath.Join(s.layout.images(), "*@*.tar"))
	if err != nil {
		return err
	}
	ctr := func(arguments ...string) *exec.Cmd {
		return exec.CommandContext(ctx, s.layout.program("usr/bin/ctr"),
			append([]string{"--address", n.socket(), "--namespace", "k8s.io"}, arguments...)...)
	}
	output, err := ctr("images", "list", "--quiet").Output()
	if err != nil {
		return fmt.Errorf("list images of %s: %w", n.name(), err)
	}
	have := strings.Fields(string(output))
	var wanted []string
	for _, archive := range archives {
		reference := s.reference(archive)
		wanted = append(wanted, reference)
		if slices.Contains(have, reference) {
			continue
		}
		step.Detail(n.name() + " takes " + strings.TrimPrefix(reference, registry+"/"))
		if output, err := ctr("images", "import", archive).CombinedOutput(); err != nil {
			return fmt.Errorf("import %s into %s: %w: %s", reference, n.name(), err, lastLines(string(output), 3))
		}
	}
	for _, reference := range have {
		if strings.HasPrefix(reference, registry+"/") && !slices.Contains(wanted, reference) {
			if output, err := ctr("images", "remove", reference).CombinedOutput(); err != nil {
				return fmt.Errorf("remove %s from %s: %w: %s", reference, n.name(), err, lastLines(string(output), 3))
			}
		}
	}
	return nil
}

func (s imageStore) reference(archive string) string {
	name := strings.TrimSuffix(filepath.Base(archive), ".tar")
	return registry + "/" + strings.Replace(name, "@", ":", 1)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}
