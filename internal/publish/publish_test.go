package publish_test

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"berth/internal/compile"
	"berth/internal/prebuilt"
	"berth/internal/provider"
	"berth/internal/publish"
	"berth/internal/registrytest"
)

func fetch(t *testing.T, from *remote.Repository, what ocispec.Descriptor, to any) {
	t.Helper()
	text, err := content.FetchAll(context.WithoutCancel(t.Context()), from, what)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A release's name leads to all of it: berth, the parts, what each is
// made of and how, and who signed it.
func TestAReleaseInARegistry(t *testing.T) {
	repository := registrytest.Start(t) + "/me/berth"
	of := registrytest.Publish(t, repository, publish.List{Programs: []compile.Program{registrytest.Hello(t)}, Images: []provider.Build{registrytest.Image(t)}})
	registry, err := prebuilt.Repository(repository, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	found, err := registry.Resolve(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	var release, parts ocispec.Index
	fetch(t, registry, found, &release)
	var command []string
	for _, m := range release.Manifests {
		if m.Platform != nil {
			command = append(command, m.Platform.OS+"/"+m.Platform.Architecture)
		}
	}
	if want := []string{"linux/" + runtime.GOARCH, "unknown/unknown"}; !slices.Equal(command, want) {
		t.Errorf("berth is for %v, want %v", command, want)
	}
	last := release.Manifests[len(release.Manifests)-1]
	if last.Digest != of.Parts {
		t.Fatalf("its parts are %s, want %s", last.Digest, of.Parts)
	}
	fetch(t, registry, last, &parts)
	want := map[string]string{"hello": "pkg:golang/stdlib@", "pause": "pkg:deb/debian/base-files@13.1?arch=amd64"}
	for _, part := range parts.Manifests {
		var index ocispec.Index
		fetch(t, registry, part, &index)
		name := part.Annotations[prebuilt.NameAnnotation]
		if len(index.Manifests) != 2 {
			t.Fatalf("%s has %d manifests", name, len(index.Manifests))
		}
		attestation := index.Manifests[1]
		if attestation.Annotations["vnd.docker.reference.digest"] != index.Manifests[0].Digest.String() {
			t.Errorf("the attestation of %s is about %v", name, attestation.Annotations)
		}
		var manifest ocispec.Manifest
		fetch(t, registry, attestation, &manifest)
		said := map[string]string{}
		for _, layer := range manifest.Layers {
			var statement struct {
				Subject   []struct{ Digest map[string]string }
				Kind      string `json:"predicateType"`
				Predicate json.RawMessage
			}
			fetch(t, registry, layer, &statement)
			if statement.Subject[0].Digest["sha256"] != index.Manifests[0].Digest.Encoded() {
				t.Errorf("%s of %s is about %v", statement.Kind, name, statement.Subject)
			}
			said[statement.Kind] = string(statement.Predicate)
		}
		if sbom := said["https://spdx.dev/Document"]; !strings.Contains(sbom, want[name]) || strings.Contains(sbom, "gone") {
			t.Errorf("the SBOM of %s: %s", name, sbom)
		}
		if provenance := said["https://slsa.dev/provenance/v1"]; !strings.Contains(provenance, "linux/"+runtime.GOARCH) {
			t.Errorf("the provenance of %s: %s", name, provenance)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	for _, signed := range []ocispec.Descriptor{found, last} {
		if _, err := registry.Resolve(t.Context(), prebuilt.SignatureTag(signed.Digest)); err != nil {
			t.Errorf("%s is not signed: %v", signed.Digest, err)
		}
	}
}
