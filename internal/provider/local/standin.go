package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/internal/compile"
	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// A stand-in takes the place of an image of Docker Hub's where that cannot be
// reached: Debian's, made of the same packages, and Go's, of this machine's
// toolchain on Debian's. Each is an OCI layout in the cache.

// contexts returns what takes the place of a build's images, bases, and of its
// stages.
func (s imageStore) contexts(ctx context.Context, b provider.Build, bases []image.Base, r progress.Reporter) (map[string]string, error) {
	if own, ok := ownProgram(b); ok {
		return s.ownContexts(ctx, own, b.Platform, bases, r)
	}
	contexts := map[string]string{}
	unreachable := s.reach.unreachable(ctx, bases)
	for _, base := range bases {
		problem := unreachable[base.Registry]
		if problem == nil {
			continue
		}
		layout, err := s.standIn(ctx, base, r)
		if err != nil {
			return nil, err
		}
		if layout == "" {
			return nil, fault.WithHint(
				fmt.Errorf("line %d of the Dockerfile wants %s, and the registry %s cannot be reached: %w", base.Line, base.Name, base.Registry, problem),
				"check that https://%s can be reached from this machine (HTTPS_PROXY names a proxy); "+
					"without it, Debian's own images (debian:trixie-slim) and Go's up to this machine's version (golang:1.26) are made here", registryHost(base.Registry))
		}
		contexts[base.Name] = layout
		r.Note(fmt.Sprintf("%s cannot be reached: an image made on this machine from Debian packages replaces %s", base.Registry, base.Name))
	}
	return contexts, nil
}

// ownContexts are those of berth's own images: no registry is asked, and the
// program is compiled here, where Go's cache has most of it.
func (s imageStore) ownContexts(ctx context.Context, own program, platform string, bases []image.Base, r progress.Reporter) (map[string]string, error) {
	contexts := map[string]string{}
	base := platform
	if !own.runs || architecture(platform) == runtime.GOARCH {
		base = "" // files alone are taken of it, or it is this machine's
	}
	debian, err := s.debian(ctx, "trixie", base, r)
	if err != nil {
		return nil, err
	}
	for _, base := range bases {
		contexts[base.Name] = debian
	}
	if own.path == "" || s.asItIs {
		return contexts, nil
	}
	folder := s.registry.layout.cached("programs", own.image, architecture(platform))
	program := compile.Program{Title: own.image, Module: own.module, Package: own.source, Arch: architecture(platform)}
	err = progress.Run(r, "Compile "+own.image, func(step progress.Step) error {
		return program.Build(ctx, filepath.Join(folder, own.path), step)
	})
	contexts["build"] = folder
	return contexts, err
}

// standIn returns the stand-in for an image, making it first, or "" when there
// is none. The builder runs.
func (s imageStore) standIn(ctx context.Context, base image.Base, r progress.Reporter) (layout string, err error) {
	if suite := debianSuite(base); suite != "" {
		return s.debian(ctx, suite, "", r)
	}
	if base.Repository == "library/golang" {
		version, minor, err := s.reach.toolchain(ctx)
		if err != nil {
			return "", err
		}
		if isGo(base, minor) {
			return s.golang(ctx, version, r)
		}
	}
	return "", nil
}

// debianTag are the tags that a suite of Debian's goes by: "trixie",
// "12-slim", "trixie-20260101".
var debianTag = regexp.MustCompile(`^(trixie|bookworm|stable|oldstable|testing|sid|unstable|12|13|latest)(?:\.\d+)?(?:-\d{8})?(-slim)?$`)

// suites are the names that mirrors do not know, by the tag.
var suites = map[string]string{"12": "bookworm", "13": "trixie", "latest": "trixie", "stable": "trixie", "oldstable": "bookworm"}

// debianSuite is the suite of an image of Debian's, or "".
func debianSuite(b image.Base) string {
	match := debianTag.FindStringSubmatch(b.Tag)
	if b.Registry != "docker.io" || b.Repository != "library/debian" || match == nil {
		return ""
	}
	if suite, ok := suites[match[1]]; ok {
		return suite
	}
	return match[1]
}

// goTag are the tags of Go's images on Debian: "1.26", "1.26.3-trixie".
var goTag = regexp.MustCompile(`^(?:(latest|trixie|bookworm)|1(?:\.(\d+))?(?:\.\d+)?(?:-trixie|-bookworm)?)$`)

// isGo reports whether this machine's toolchain, of a minor version, can take
// the place of an image of Go's: an older Go's programs build with a newer one.
func isGo(b image.Base, minor int) bool {
	match := goTag.FindStringSubmatch(b.Tag)
	if b.Registry != "docker.io" || b.Repository != "library/golang" || match == nil {
		return false
	}
	wanted, _ := strconv.Atoi(match[2]) // none is any
	return wanted <= minor
}

// golang makes the stand-in for Go's images, of this machine's toolchain without
// its own tests, half of its files: BuildKit looks at each when a program is
// copied out of the image's root.
func (s imageStore) golang(ctx context.Context, version string, r progress.Reporter) (layout string, err error) {
	debian, err := s.debian(ctx, "trixie", "", r)
	if err != nil {
		return "", err
	}
	return s.makeBase(ctx, "golang-"+version+"-"+filepath.Base(debian), "", func(folder string) (provider.Build, map[string]string, error) {
		root, err := goEnvironment(ctx, "GOROOT")
		if err != nil {
			return provider.Build{}, nil, err
		}
		b, err := baseBuild(folder, `FROM debian:trixie
COPY --from=goroot --exclude=test --exclude=**/testdata --exclude=**/*_test.go . /usr/local/go
ENV GOTOOLCHAIN=local GOPATH=/go PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /go
`)
		return b, map[string]string{"debian:trixie": debian, "goroot": root}, err
	}, r)
}

// authorities is where Debian has certificates of authorities that a machine
// trusts besides its distribution's: those of a company's proxy, say.
const authorities = "/usr/local/share/ca-certificates"

// debian makes the stand-in for a suite of Debian's: its smallest set of
// packages, and the authorities that this machine trusts, as what a build
// downloads comes the same way. Those stay out of images for other machines,
// which are for a platform, as "linux/arm64", where it is not this machine's.
func (s imageStore) debian(ctx context.Context, suite, platform string, r progress.Reporter) (layout string, err error) {
	own, name := "", suite
	if s.leaves {
		name += "-bare-" + architecture(platform)
	} else if own, err = fingerprint(authorities); err != nil {
		return "", err
	}
	return s.makeBase(ctx, name+own, platform, func(folder string) (provider.Build, map[string]string, error) {
		arguments := append(debianTrust(), "--quiet", "--variant=minbase", "--include=ca-certificates")
		if platform != "" {
			arguments = append(arguments, "--architectures="+architecture(platform))
		}
		if own != "" {
			arguments = append(arguments,
				"--customize-hook=copy-in "+authorities+" "+filepath.Dir(authorities),
				`--customize-hook=chroot "$1" update-ca-certificates`)
		}
		if err := progress.Run(r, "Fetch Debian "+suite, func(progress.Step) error {
			return run(ctx, "mmdebstrap", append(arguments, suite, filepath.Join(folder, "base.tar"))...)
		}); err != nil {
			return provider.Build{}, nil, err
		}
		b, err := baseBuild(folder, "FROM scratch\nADD base.tar /\nCMD [\"bash\"]\n")
		return b, nil, err
	}, r)
}

// debianTrust are mmdebstrap's arguments that make it trust Debian's archive and
// nothing else, whatever the machine's own apt trusts: Ubuntu's knows no key of
// Debian's.
func debianTrust() []string { return []string{"--keyring=" + debianKeyring} }

// fingerprint is "-" and a hash of the files in a folder, or "" where there is
// none.
func fingerprint(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		return "", err
	}
	hash := sha256.New()
	for _, file := range files { // in order
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read what this machine trusts: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", file, len(content), content)
	}
	return fmt.Sprintf("-%.4x", hash.Sum(nil)), nil
}

var errNoStandIn = errors.New("the stand-in is not made yet")

// makeBase makes an OCI layout of an image, once, however many commands want
// it: what prepares its build is called with a folder for the build's files.
func (s imageStore) makeBase(ctx context.Context, name, platform string, prepare func(folder string) (provider.Build, map[string]string, error), r progress.Reporter) (layout string, err error) {
	layout = s.base(name)
	if exists(layout) {
		return layout, nil
	}
	if s.asItIs {
		return "", errNoStandIn
	}
	if err := os.MkdirAll(filepath.Dir(layout), 0o700); err != nil {
		return "", fmt.Errorf("make folder of base images: %w", err)
	}
	lock, err := openLock(layout + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := flock(ctx, lock, unix.LOCK_EX); err != nil || exists(layout) {
		return layout, err
	}
	partial, folder := layout+".new", layout+".files" // left by a killed command
	defer os.RemoveAll(folder)
	if err := errors.Join(os.RemoveAll(partial), os.RemoveAll(folder), os.Mkdir(folder, 0o700)); err != nil {
		return "", fmt.Errorf("make base image: %w", err)
	}
	b, contexts, err := prepare(folder)
	if err != nil {
		return "", fmt.Errorf("make base image %s: %w", name, err)
	}
	b.Name, b.Platform = name, platform
	if _, err := s.builder().client().Build(ctx, b, image.Result{
		Contexts: contexts, Output: []string{"type=oci", "tar=false", "compression=uncompressed", "dest=" + partial},
	}, r); err != nil {
		return "", err
	}
	if err := os.Rename(partial, layout); err != nil {
		return "", fmt.Errorf("keep base image: %w", err)
	}
	return layout, nil
}

func (s imageStore) base(name string) string { return s.registry.layout.cached("bases", name) }

// baseBuild is a build of files in a folder, to which it adds the Dockerfile.
func baseBuild(folder, dockerfile string) (provider.Build, error) {
	file := filepath.Join(folder, "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o600); err != nil {
		return provider.Build{}, err
	}
	return provider.Build{Dockerfile: file, Context: folder}, nil
}
