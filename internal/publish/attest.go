package publish

import (
	"context"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An attestation says of an artifact what it is made of, as SPDX, and how it was
// made, as SLSA provenance. It has BuildKit's form, which docker buildx
// imagetools shows: a manifest of in-toto statements beside the artifact's own.
// That the index names it has the signature cover it, too.

const inTotoType = "application/vnd.in-toto+json"

type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

func (m *Maker) attest(ctx context.Context, name, platform string, made *artifact) (ocispec.Descriptor, error) {
	about := subject{name + " " + platform, digestSet(made.manifest.Digest)}
	var layers []ocispec.Descriptor
	for _, said := range []struct {
		kind      string
		predicate any
	}{
		{"https://spdx.dev/Document", sbom(about.Name, made.manifest.Digest, m.Epoch, made.made)},
		{"https://slsa.dev/provenance/v1", m.provenance(name, platform, made)},
	} {
		layer, err := m.addJSON(ctx, inTotoType, statement{"https://in-toto.io/Statement/v1", []subject{about}, said.kind, said.predicate})
		if err != nil {
			return layer, err
		}
		layer.Annotations = map[string]string{"in-toto.io/predicate-type": said.kind}
		layers = append(layers, layer)
	}
	config, err := m.addJSON(ctx, ocispec.MediaTypeImageConfig, noImage(layers...))
	if err != nil {
		return config, err
	}
	manifest, err := m.addJSON(ctx, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
	manifest.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	manifest.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": made.manifest.Digest.String(),
	}
	return manifest, err
}

func digestSet(d digest.Digest) map[string]string {
	return map[string]string{d.Algorithm().String(): d.Encoded()}
}

// provenance says what was built from what. It names no time and no machine:
// building it again gives the same.
func (m *Maker) provenance(name, platform string, made *artifact) any {
	type dependency struct {
		URI    string            `json:"uri"`
		Digest map[string]string `json:"digest,omitempty"`
	}
	source := dependency{URI: "git+berth@" + m.Version}
	if m.Commit != "" {
		source.Digest = map[string]string{"gitCommit": m.Commit}
	}
	return map[string]any{
		"buildDefinition": map[string]any{
			"buildType":            "https://slsa.dev/container-based-build/v0.1",
			"externalParameters":   map[string]any{"name": name, "platform": platform, "version": m.Version, "from": made.from},
			"resolvedDependencies": []dependency{source, {URI: "https://go.dev/dl/" + runtime.Version() + ".src.tar.gz"}},
		},
		"runDetails": map[string]any{"builder": map[string]any{"id": "make release"}},
	}
}
