package image

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"berth/internal/fault"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Build makes an image from a Dockerfile and names it repository:tag, which is
// returned. The repository includes the registry: "ghcr.io/me/app".
func (b *Builder) Build(ctx context.Context, from provider.Build, repository string, r progress.Reporter) (reference string, err error) {
	err = progress.Run(r, "Build image "+from.Name, func(step progress.Step) error {
		id, err := b.buildID(ctx, from, step)
		if err != nil {
			return err
		}
		reference = repository + ":" + id[:12]
		return b.run(ctx, nil, "tag", id, reference)
	})
	if err != nil {
		return "", fmt.Errorf("build image %s with %s: %w", from.Name, b, err)
	}
	return reference, nil
}

var imageID = regexp.MustCompile(`^(?:sha256:)?([0-9a-f]{64})\s*$`)

// buildID builds and returns the image's ID, 64 hexadecimal digits.
func (b *Builder) buildID(ctx context.Context, build provider.Build, step progress.Step) (string, error) {
	ignoreFiles := []string{".dockerignore"}
	if b.tool != "docker" {
		ignoreFiles = []string{".containerignore", ".dockerignore"}
	}
	from, err := newRecipe(build, b.temp, ignoreFiles...)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(from.folder)
	idFile := filepath.Join(from.folder, "id")
	arguments := []string{"build", "--file", from.dockerfile, "--iidfile", idFile}
	var environment []string
	if b.tool == "docker" {
		var secrets []string
		secrets, environment = from.secrets()
		arguments = append(arguments, secrets...)
	} else {
		secrets, err := from.secretFiles()
		if err != nil {
			return "", err
		}
		// docker always keeps layers, and finds the ignore file by its name.
		arguments = append(append(arguments, "--layers", "--ignorefile", from.ignoreFile()), secrets...)
	}
	arguments = append(arguments, b.build...)
	option(&arguments, "--target", build.Target)
	option(&arguments, "--platform", build.Platform)
	for _, name := range slices.Sorted(maps.Keys(build.Args)) {
		arguments = append(arguments, "--build-arg", name+"="+build.Args[name])
	}
	if err := b.runWith(ctx, step, environment, build.Secrets, append(arguments, build.Context)...); err != nil {
		return "", from.explain(err)
	}
	text, err := os.ReadFile(idFile)
	if err != nil {
		return "", err
	}
	match := imageID.FindStringSubmatch(string(text))
	if match == nil {
		return "", fmt.Errorf("%s names an image ID that is none: %q", b, text)
	}
	return match[1], nil
}

// Push takes an image to its registry, with the credentials that the builder's
// own login keeps, and returns the reference by digest, which no later push can
// change: "ghcr.io/me/app@sha256:…".
func (b *Builder) Push(ctx context.Context, reference string, r progress.Reporter) (byDigest string, err error) {
	err = progress.Run(r, "Push "+reference, func(step progress.Step) error {
		repository := reference[:tagAt(reference)]
		digest, err := b.push(ctx, reference, repository, step)
		if err != nil {
			registry, _, _ := strings.Cut(repository, "/")
			return fault.WithHint(err, "log in with %s login %s, and check the registry in berth.yaml", b, registry)
		}
		byDigest = repository + "@" + digest
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("push %s with %s: %w", reference, b, err)
	}
	return byDigest, nil
}

// Publish builds an image with whatever builder there is and pushes it to a
// registry, as "ghcr.io/me". One of berth's own images that is prebuilt is copied
// there instead. The reference is by digest, so the cluster runs exactly what was
// released.
func Publish(ctx context.Context, from provider.Build, registry string, r progress.Reporter) (byDigest string, err error) {
	repository := strings.TrimSuffix(registry, "/") + "/" + from.Name
	if from.Prebuilt != nil {
		sources, err := Sources(from)
		if err != nil {
			return "", err
		}
		if byDigest, err = from.Prebuilt.Copy(ctx, prebuilt.Part{Name: from.Name, Sources: sources}, repository, r); byDigest != "" || err != nil {
			return byDigest, err
		}
	}
	builder, err := Find(ctx)
	if err != nil {
		return "", err
	}
	reference, err := builder.Build(ctx, from, repository, r)
	if err != nil {
		return "", err
	}
	return builder.Push(ctx, reference, r)
}

// tagAt is where the tag begins: at the colon behind the last slash, since one
// before it belongs to the registry's port.
func tagAt(reference string) int {
	slash := strings.LastIndexByte(reference, '/')
	if colon := strings.LastIndexByte(reference, ':'); colon > slash {
		return colon
	}
	return len(reference)
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (b *Builder) push(ctx context.Context, reference, repository string, step progress.Step) (string, error) {
	if b.tool != "docker" {
		return b.pushWithDigest(ctx, step, reference)
	}
	if err := b.run(ctx, step, "push", reference); err != nil {
		return "", err
	}
	// docker has no --digestfile; it remembers a digest for every
	// repository that the image was pushed to.
	list, err := b.output(ctx, "image", "inspect", "--format", "{{join .RepoDigests \"\\n\"}}", reference)
	if err != nil {
		return "", err
	}
	said := ""
	for line := range strings.Lines(list) {
		if digest, ok := strings.CutPrefix(strings.TrimSpace(line), repository+"@"); ok {
			said = digest
		}
	}
	return b.checkDigest(said)
}

// pushWithDigest pushes with podman or buildah, which write the digest into a
// file.
func (b *Builder) pushWithDigest(ctx context.Context, step progress.Step, arguments ...string) (string, error) {
	folder, err := os.MkdirTemp(b.temp, "berth-image-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "digest")
	if err := b.run(ctx, step, append([]string{"push", "--digestfile", file}, arguments...)...); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return b.checkDigest(strings.TrimSpace(string(text)))
}

func (b *Builder) checkDigest(said string) (string, error) {
	if !digestForm.MatchString(said) {
		return "", fmt.Errorf("%s does not tell the digest of what it pushed", b)
	}
	return said, nil
}
