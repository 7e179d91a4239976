// Package image builds Dockerfiles with whatever builder the machine has,
// docker, podman or buildah, and takes the result to a registry.
//
// Images are named by what is in them: the tag is the beginning of the image's
// ID, so that a build that changed nothing yields the reference it yielded
// before.
package image

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"berth/internal/fault"
)

// Builder is a program that builds images.
type Builder struct {
	// tool is docker, podman or buildah, and path where it is.
	tool, path string
	// global stands before every subcommand's name, and build behind "build".
	global, build []string
	temp          string // folder for temporary files; empty takes TMPDIR
}

// String is the name of the program.
func (b *Builder) String() string { return b.tool }

// answerTime bounds how long a builder has to say that it is there; a Docker
// client can hang on a daemon that does not respond.
const answerTime = 10 * time.Second

// Find returns the first builder that is installed and answers. A docker
// command whose daemon is not running does not count.
func Find(ctx context.Context) (*Builder, error) {
	candidates := []struct{ tool, subcommand string }{
		{"docker", "info"}, // fails without the daemon, as "docker --version" does not
		{"podman", "info"},
		{"buildah", "version"},
	}
	for _, candidate := range candidates {
		path, err := exec.LookPath(candidate.tool)
		if err != nil {
			continue
		}
		if !answers(ctx, path, candidate.subcommand) {
			continue
		}
		if candidate.tool == "buildah" {
			return NewBuildah(Buildah{Isolation: "chroot"})
		}
		return &Builder{tool: candidate.tool, path: path}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, fault.WithHint(
		fmt.Errorf("nothing here builds images: neither docker, with its daemon running, nor podman nor buildah"),
		"apt-get install buildah, or start Docker")
}

func answers(ctx context.Context, path, subcommand string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return newCommand(ctx, path, subcommand).Run() == nil
}

// Buildah is how buildah is called. Empty fields leave its own defaults, which
// it shares with podman.
type Buildah struct {
	// Root and RunRoot are the folders for images and for what lives as long
	// as a build; Driver is their storage driver: "overlay" or "vfs".
	Root, RunRoot, Driver string
	// Isolation of RUN: "oci", "rootless" or "chroot". Only chroot works
	// within most containers.
	Isolation string
	// Registries is a registries.conf; empty takes the machine's.
	Registries string
	// Pull says when base images are fetched: "true", "always" or "never".
	Pull string
	// Volumes are mounted during RUN, as "/on/host:/in/build[:ro]".
	Volumes []string
	// Temp is the folder for temporary files, which stay when a build is
	// killed. Empty takes TMPDIR.
	Temp string
}

// NewBuildah returns buildah with these options.
func NewBuildah(o Buildah) (*Builder, error) {
	path, err := exec.LookPath("buildah")
	if err != nil {
		return nil, fault.WithHint(err, "apt-get install buildah")
	}
	b := &Builder{tool: "buildah", path: path, temp: o.Temp}
	option(&b.global, "--root", o.Root)
	option(&b.global, "--runroot", o.RunRoot)
	option(&b.global, "--storage-driver", o.Driver)
	option(&b.global, "--registries-conf", o.Registries)
	option(&b.build, "--isolation", o.Isolation)
	option(&b.build, "--pull", o.Pull)
	for _, volume := range o.Volumes {
		option(&b.build, "--volume", volume)
	}
	return b, nil
}

func option(arguments *[]string, name, value string) {
	if value != "" {
		*arguments = append(*arguments, name+"="+value)
	}
}
