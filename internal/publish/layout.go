package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"berth/internal/prebuilt"
	"berth/internal/progress"
)

// releaseType is the type of the index of a whole release.
const releaseType = "application/vnd.berth.release.v1"

func indexOf(artifactType string) ocispec.Index {
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, ArtifactType: artifactType}
}

// add adds content to the layout, unless it is there.
func (m *Maker) add(ctx context.Context, mediaType string, data []byte) (ocispec.Descriptor, error) {
	blob := content.NewDescriptorFromBytes(mediaType, data)
	if err := m.store.Push(ctx, blob, bytes.NewReader(data)); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return blob, fmt.Errorf("add to the OCI layout: %w", err)
	}
	return blob, nil
}

func (m *Maker) addJSON(ctx context.Context, mediaType string, value any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return m.add(ctx, mediaType, data)
}

// addProgram adds a program, compressed.
func (m *Maker) addProgram(ctx context.Context, name, binary string) (manifest ocispec.Descriptor, err error) {
	file, err := os.Open(binary)
	if err != nil {
		return manifest, err
	}
	defer file.Close()
	var compressed bytes.Buffer
	to, err := zstd.NewWriter(&compressed, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return manifest, err
	}
	if _, err := io.Copy(to, file); err != nil {
		return manifest, err
	}
	if err := to.Close(); err != nil {
		return manifest, err
	}
	layer, err := m.add(ctx, prebuilt.ProgramLayerType, compressed.Bytes())
	if err != nil {
		return manifest, err
	}
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: name + ".zst"}
	config, err := m.add(ctx, ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	if err != nil {
		return manifest, err
	}
	return m.addJSON(ctx, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: prebuilt.ProgramType, Config: config, Layers: []ocispec.Descriptor{layer},
	})
}

// sign adds the signature of a manifest, under the tag where cosign looks.
func (m *Maker) sign(ctx context.Context, of ocispec.Descriptor) (manifest ocispec.Descriptor, err error) {
	payload, signature, err := prebuilt.Sign(m.Key, m.Repository, of.Digest)
	if err != nil {
		return manifest, err
	}
	layer, err := m.add(ctx, prebuilt.SignatureLayerType, payload)
	if err != nil {
		return manifest, err
	}
	config, err := m.addJSON(ctx, ocispec.MediaTypeImageConfig, noImage(layer))
	if err != nil {
		return manifest, err
	}
	layer.Annotations = map[string]string{prebuilt.SignatureAnnotation: signature}
	if manifest, err = m.addJSON(ctx, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	}); err != nil {
		return manifest, err
	}
	return manifest, m.store.Tag(ctx, manifest, prebuilt.SignatureTag(of.Digest))
}

// noImage is the configuration of what looks like an image and is none.
func noImage(layers ...ocispec.Descriptor) ocispec.Image {
	var config ocispec.Image
	config.OS, config.Architecture = "unknown", "unknown"
	config.RootFS.Type = "layers"
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	return config
}

// Push pushes the release to the registry; what is there already is not sent again.
// Tags come last, so everything with a tag is complete.
func (m *Maker) Push(ctx context.Context, made Made) error {
	return progress.Run(m.Reporter, "Push "+m.Repository+":"+m.Version, func(step progress.Step) error {
		repository, err := prebuilt.Repository(m.Repository, time.Minute)
		if err != nil {
			return err
		}
		options := oras.DefaultCopyGraphOptions
		options.PostCopy = func(_ context.Context, done ocispec.Descriptor) error {
			step.Detail(done.Digest.String())
			return nil
		}
		for _, signature := range made.signatures {
			if err := oras.CopyGraph(ctx, m.store, repository, signature, options); err != nil {
				return fmt.Errorf("push the signature: %w", err)
			}
		}
		if err := oras.CopyGraph(ctx, m.store, repository, made.Release, options); err != nil {
			return fmt.Errorf("push the release: %w", err)
		}
		for signed, of := range []ocispec.Descriptor{made.Parts, made.Release} {
			if err := repository.Tag(ctx, made.signatures[signed], prebuilt.SignatureTag(of.Digest)); err != nil {
				return fmt.Errorf("name the signature: %w", err)
			}
		}
		if err := repository.Tag(ctx, made.Release, m.Version); err != nil {
			return fmt.Errorf("name the release: %w", err)
		}
		return nil
	})
}
