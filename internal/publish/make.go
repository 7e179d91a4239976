// Package publish makes releases of berth: it builds berth and everything that berth's
// clusters run, for every platform, adds SBOMs and provenance, signs it, and pushes it
// to a registry, where package prebuilt finds it. The command is cmd/release.
package publish

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"

	"berth/internal/compile"
	"berth/internal/image"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Maker makes a release in a folder, as an OCI layout. The same source, the
// same Go and the same packages of Debian's give the same bytes.
type Maker struct {
	// Root is berth's source tree, and Commit what it is at, if it is known.
	Root, Commit string
	// Packed is a file of the same source as source.Pack writes it, for the
	// command to carry along.
	Packed string
	// Out is the folder for what is made.
	Out string
	// Repository is where it is pushed: "ghcr.io/me/berth"; Version its name
	// there: "v1.2.0".
	Repository, Version string
	// Epoch is the time of everything that is made, in seconds since 1970.
	Epoch int64
	// Platforms to build for, as "linux/amd64".
	Platforms []string
	// Key signs it.
	Key      *ecdsa.PrivateKey
	Reporter progress.Reporter
	// Export builds an image for a platform into a folder, as an OCI layout.
	Export func(ctx context.Context, b provider.Build, platform, folder string) error
	// Left are the images to leave out, as "ingress linux/arm64".
	Left map[string]bool

	store *oci.Store
}

// List names the parts of a release.
type List struct {
	Programs []compile.Program
	Images   []provider.Build
	// Command is berth itself, which is made last: it knows the digest of the
	// others.
	Command compile.Program
}

// Made is a release: the index of all, the index of its parts, which berth
// itself takes from, and the signatures of the parts and of all.
type Made struct {
	Release, Parts ocispec.Descriptor
	signatures     []ocispec.Descriptor
}

// Make builds everything, and begins with an empty layout.
func (m *Maker) Make(ctx context.Context, list List) (made Made, err error) {
	layout := filepath.Join(m.Out, "oci")
	if err := os.RemoveAll(layout); err != nil {
		return made, fmt.Errorf("clear %s: %w", layout, err)
	}
	if m.store, err = oci.New(layout); err != nil {
		return made, fmt.Errorf("make an OCI layout: %w", err)
	}
	index := indexOf(prebuilt.PartsType)
	for _, p := range list.Programs {
		part, err := m.part(ctx, p.Part, func(platform string) (*artifact, error) { return m.program(ctx, p, platform) })
		if err != nil {
			return made, err
		}
		index.Manifests = append(index.Manifests, part)
	}
	for _, b := range list.Images {
		sources, err := image.Sources(b)
		if err != nil {
			return made, err
		}
		part, err := m.part(ctx, prebuilt.Part{Name: b.Name, Sources: sources}, func(platform string) (*artifact, error) { return m.image(ctx, b, platform) })
		if err != nil {
			return made, err
		}
		index.Manifests = append(index.Manifests, part)
	}
	if made.Parts, err = m.addJSON(ctx, ocispec.MediaTypeImageIndex, index); err != nil {
		return made, err
	}
	command, err := m.command(ctx, list.Command, made.Parts)
	if err != nil {
		return made, err
	}
	all := indexOf(releaseType)
	all.Manifests = append(command, made.Parts)
	if made.Release, err = m.addJSON(ctx, ocispec.MediaTypeImageIndex, all); err != nil {
		return made, err
	}
	for _, signed := range []ocispec.Descriptor{made.Parts, made.Release} {
		signature, err := m.sign(ctx, signed)
		if err != nil {
			return made, err
		}
		made.signatures = append(made.signatures, signature)
	}
	return made, m.store.Tag(ctx, made.Release, m.Version)
}

// artifact is a part for one platform.
type artifact struct {
	manifest ocispec.Descriptor
	// made of these modules and packages.
	made []component
	// from is how its source is called, for its provenance.
	from map[string]string
}

// part adds a part for all platforms, each with an attestation, and returns
// their index, as the index of parts has it.
func (m *Maker) part(ctx context.Context, part prebuilt.Part, add func(platform string) (*artifact, error)) (ocispec.Descriptor, error) {
	manifests, err := m.manifests(ctx, part.Name, add)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	index := indexOf("")
	index.Manifests = manifests
	added, err := m.addJSON(ctx, ocispec.MediaTypeImageIndex, index)
	added.Annotations = map[string]string{prebuilt.NameAnnotation: part.Name, prebuilt.SourcesAnnotation: part.Sources}
	return added, err
}

func (m *Maker) manifests(ctx context.Context, name string, add func(platform string) (*artifact, error)) (manifests []ocispec.Descriptor, err error) {
	for _, platform := range m.Platforms {
		if m.Left[name+" "+platform] {
			continue
		}
		made, err := add(platform)
		if err != nil {
			return nil, err
		}
		attestation, err := m.attest(ctx, name, platform, made)
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", name, err)
		}
		system, arch, _ := strings.Cut(platform, "/")
		made.manifest.Platform = &ocispec.Platform{OS: system, Architecture: arch}
		manifests = append(manifests, made.manifest, attestation)
	}
	return manifests, nil
}

// program compiles a program and adds it.
func (m *Maker) program(ctx context.Context, p compile.Program, platform string) (*artifact, error) {
	binary := m.Binary(p.Name, platform)
	_, p.Arch, _ = strings.Cut(platform, "/")
	if err := progress.Run(m.Reporter, "Compile "+p.Title+" for "+platform, func(step progress.Step) error {
		return p.Build(ctx, binary, step)
	}); err != nil {
		return nil, err
	}
	made, err := modulesOf(binary)
	if err != nil {
		return nil, fmt.Errorf("read what %s is made of: %w", p.Name, err)
	}
	manifest, err := m.addProgram(ctx, p.Name, binary)
	return &artifact{manifest, made, map[string]string{"package": p.Package, "go": runtime.Version()}}, err
}

// Binary is where a program for a platform is left.
func (m *Maker) Binary(name, platform string) string {
	return filepath.Join(m.Out, strings.ReplaceAll(platform, "/", "-"), name)
}

// image builds an image and adds it.
func (m *Maker) image(ctx context.Context, b provider.Build, platform string) (*artifact, error) {
	folder := m.Binary("image-"+b.Name, platform)
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("clear %s: %w", folder, err)
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", filepath.Dir(folder), err)
	}
	if err := m.Export(ctx, b, platform, folder); err != nil {
		return nil, err
	}
	layout, err := oci.New(folder)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", b.Name, err)
	}
	content, err := os.ReadFile(filepath.Join(folder, ocispec.ImageIndexFile))
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", b.Name, err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil || len(index.Manifests) != 1 {
		return nil, fmt.Errorf("read image %s: %d images in its layout, %w", b.Name, len(index.Manifests), err)
	}
	manifest := ocispec.Descriptor{MediaType: index.Manifests[0].MediaType, Digest: index.Manifests[0].Digest, Size: index.Manifests[0].Size}
	if err := oras.CopyGraph(ctx, layout, m.store, manifest, oras.DefaultCopyGraphOptions); err != nil {
		return nil, fmt.Errorf("add image %s: %w", b.Name, err)
	}
	made, err := contentsOf(ctx, layout, manifest)
	if err != nil {
		return nil, fmt.Errorf("read what image %s is made of: %w", b.Name, err)
	}
	dockerfile, err := filepath.Rel(m.Root, b.Dockerfile)
	return &artifact{manifest, made, map[string]string{"dockerfile": filepath.ToSlash(dockerfile)}}, err
}

// command compiles the command itself and adds it. Files of the tree are not
// touched: what is packed into the command stands in their place while it is
// compiled.
func (m *Maker) command(ctx context.Context, p compile.Program, parts ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	public, err := prebuilt.PublicKey(m.Key)
	if err != nil {
		return nil, err
	}
	reference, err := json.MarshalIndent(prebuilt.Reference{Version: m.Version, Repository: m.Repository, Parts: parts.Digest, Key: public}, "", "  ")
	if err != nil {
		return nil, err
	}
	release := filepath.Join(m.Out, "release.json")
	replaced := map[string]string{filepath.Join(m.Root, "internal/prebuilt/embedded/release.json"): release}
	if m.Packed != "" {
		replaced[filepath.Join(m.Root, "internal/source/packed/source.tar.zst")] = m.Packed
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return nil, err
	}
	for file, content := range map[string][]byte{
		release: append(reference, '\n'), filepath.Join(m.Out, "overlay.json"): overlay, filepath.Join(m.Out, "berth.pub"): []byte(public),
	} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return nil, err
		}
	}
	p.Set = append(p.Set, "main.version="+m.Version)
	p.Overlay = filepath.Join(m.Out, "overlay.json")
	return m.manifests(ctx, p.Name, func(platform string) (*artifact, error) { return m.program(ctx, p, platform) })
}
