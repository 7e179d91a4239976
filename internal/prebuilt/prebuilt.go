// Package prebuilt downloads the prebuilt parts of a release of berth: Kubernetes,
// the image builder, the platform's images. They are OCI artifacts in a registry, and
// a released command knows their digests.
//
// A part must have the released digest, and its release the releaser's signature.
// Parts that cannot be downloaded are built from source, as if there were no release:
// see [Release.Program].
package prebuilt

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"berth/internal/fault"
	"berth/internal/progress"
)

//go:embed embedded
var embedded embed.FS

// Reference says which release a command is of. `make release` writes it into
// the command.
type Reference struct {
	// Version is the release's name: "v1.2.0".
	Version string `json:"version"`
	// Repository is where it is: "ghcr.io/me/berth".
	Repository string `json:"repository"`
	// Parts is the digest of the index of all that is built already.
	Parts digest.Digest `json:"parts"`
	// Key is the releaser's public key, as PEM.
	Key string `json:"key"`
}

// Part is something that is built from source: a program or an image.
type Part struct {
	// Name of the program or the image: "kubernetes".
	Name string
	// Sources is a hash of what it is made of. A release has it for one state
	// of berth's source, which need not be the one at hand.
	Sources string
}

// How the index of a release describes its parts: each is an index itself, of a
// manifest for each platform, with the part's name and sources as annotations.
const (
	PartsType         = "application/vnd.berth.parts.v1"
	ProgramType       = "application/vnd.berth.program.v1"
	ProgramLayerType  = "application/vnd.berth.program.v1+zstd"
	NameAnnotation    = ocispec.AnnotationTitle
	SourcesAnnotation = "berth.sources"
)

// Release is a release of berth in a registry. A nil Release has nothing.
type Release struct {
	Reference
	// Patience is how long a registry may say nothing.
	Patience time.Duration

	once     sync.Once
	openErr  error
	remote   *remote.Repository
	parts    map[string]ocispec.Descriptor
	platform ocispec.Platform

	mu   sync.Mutex
	said map[string]bool
}

// Find returns the release that this command is of, or the one that given
// names, which is the value of BERTH_RELEASE: a mirror of the same release as
// HOST/PATH, or any release by the digest of its parts, HOST/PATH@sha256:….
// It returns nil in a command that was not released.
func Find(given string) (*Release, error) {
	content, err := embedded.ReadFile("embedded/release.json")
	var own Reference
	if err == nil {
		err = json.Unmarshal(content, &own)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which release this is: %w", err)
	}
	return find(own, given)
}

func find(own Reference, given string) (*Release, error) {
	if given != "" {
		repository, parts, pinned := strings.Cut(given, "@")
		if _, err := registry.ParseReference(repository); err != nil || strings.Contains(repository[strings.LastIndexByte(repository, '/')+1:], ":") {
			return nil, fault.WithHint(fault.Usage("BERTH_RELEASE does not name a release: %q", given),
				"name a mirror as HOST/PATH, or another release as HOST/PATH@sha256:…")
		}
		own.Repository = repository
		if pinned {
			own.Parts = digest.Digest(parts)
			if err := own.Parts.Validate(); err != nil {
				return nil, fault.Usage("BERTH_RELEASE has a digest that is none: %q", parts)
			}
			own.Version = own.Parts.Encoded()[:12]
		} else if own.Parts == "" {
			return nil, fault.WithHint(fault.Usage("BERTH_RELEASE names a mirror, but this berth is not a release and knows no digest"),
				"add the digest of the release's parts, which make release prints: %s@sha256:…", repository)
		}
	}
	if own.Parts == "" {
		return nil, nil
	}
	return New(own), nil
}

// New returns a release. It is looked up when a part of it is needed.
func New(r Reference) *Release {
	return &Release{
		Reference: r, Patience: 30 * time.Second, said: map[string]bool{},
		platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
	}
}

// open finds out what the release has, once. Its list of parts is what its
// digest says, and signed.
func (r *Release) open(ctx context.Context) error {
	r.once.Do(func() { r.openErr = r.read(ctx) })
	return r.openErr
}

func (r *Release) read(ctx context.Context) (err error) {
	if r.remote, err = Repository(r.Repository, r.Patience); err != nil {
		return err
	}
	content, err := r.manifest(ctx, r.Parts)
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil || index.ArtifactType != PartsType {
		return errors.New("it is not a release of berth")
	}
	if r.Key != "" {
		if err := r.verify(ctx); err != nil {
			return errors.New("its signature: " + explain(err, r.Repository))
		}
	}
	r.parts = map[string]ocispec.Descriptor{}
	for _, part := range index.Manifests {
		r.parts[part.Annotations[NameAnnotation]] = part
	}
	return nil
}

// find returns the manifest of a part for this machine.
func (r *Release) find(ctx context.Context, part Part) (manifest ocispec.Descriptor, err error) {
	index, err := r.index(ctx, part)
	if err != nil {
		return manifest, err
	}
	content, err := r.manifest(ctx, index.Digest)
	if err != nil {
		return manifest, err
	}
	var platforms ocispec.Index
	if err := json.Unmarshal(content, &platforms); err != nil {
		return manifest, fmt.Errorf("read its index: %w", err)
	}
	for _, manifest := range platforms.Manifests {
		if p := manifest.Platform; p != nil && p.OS == r.platform.OS && p.Architecture == r.platform.Architecture {
			return manifest, nil
		}
	}
	return manifest, fmt.Errorf("there is none for %s/%s", r.platform.OS, r.platform.Architecture)
}

// index returns the index of a part.
func (r *Release) index(ctx context.Context, part Part) (ocispec.Descriptor, error) {
	if err := r.open(ctx); err != nil {
		return ocispec.Descriptor{}, &unusable{err}
	}
	found, ok := r.parts[part.Name]
	if !ok {
		return found, errors.New("has none")
	}
	if found.Annotations[SourcesAnnotation] != part.Sources {
		return found, errors.New("has one of other source than what is here")
	}
	return found, nil
}

// unusable is the error of a release from which nothing can be downloaded.
type unusable struct{ error }

func (u *unusable) Unwrap() error { return u.error }

// take calls get for a part, as a step, and reports whether that got it. Where
// it did not, one line says why; for a release that cannot be had at all it is
// said once. The error is the context's.
func (r *Release) take(ctx context.Context, part Part, reporter progress.Reporter, get func(progress.Step) error) (bool, error) {
	if r == nil {
		return false, nil
	}
	const instead = "; made from source instead"
	_, err := r.index(ctx, part)
	if err == nil {
		step := reporter.Step("Fetch " + part.Name + " of berth " + r.Version)
		if err = get(step); err == nil {
			step.End(nil)
			return true, nil
		}
		if ctx.Err() != nil {
			step.End(context.Cause(ctx))
			return false, context.Cause(ctx)
		}
		step.End(errors.New(explain(err, r.Repository) + instead))
		return false, nil
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	where, subject := fmt.Sprintf("berth %s at %s", r.Version, r.Repository), part.Name
	line := fmt.Sprintf("%s is made from source: %s %s", part.Name, where, explain(err, r.Repository))
	var all *unusable
	if errors.As(err, &all) {
		subject, line = "", fmt.Sprintf("everything is made from source: %s cannot be had: %s", where, explain(err, r.Repository))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.said[subject] {
		r.said[subject] = true
		reporter.Note(line)
	}
	return false, nil
}
