package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"

	"berth/internal/compile"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/publish"
)

// Hello is a small program that says so, and the sources of it.
func Hello(t testing.TB) compile.Program {
	t.Helper()
	return compile.Program{
		Part: prebuilt.Part{Name: "hello", Sources: "s1"}, Title: "hello", Package: ".",
		Module: files(t, map[string]string{"go.mod": "module hello\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { print(\"hello\") }\n"}),
	}
}

// Image is a build of an image named pause, which [Export] makes.
func Image(t testing.TB) provider.Build {
	t.Helper()
	folder := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY hello /\n", "hello": "hello\n"})
	return provider.Build{Name: "pause", Dockerfile: filepath.Join(folder, "Dockerfile"), Context: folder}
}

func files(t testing.TB, contents map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// Export stands in for a builder: it makes an image of one file, and of one
// package of Debian's.
func Export(ctx context.Context, b provider.Build, _, folder string) error {
	layout, err := oci.New(folder)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	compressed := gzip.NewWriter(&layer)
	to := tar.NewWriter(compressed)
	for name, content := range map[string]string{
		"var/lib/dpkg/status": "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 13.1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
	} {
		if err := to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := to.Write([]byte(content)); err != nil {
			return err
		}
	}
	if err := to.Close(); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	blob, err := oras.PushBytes(ctx, layout, ocispec.MediaTypeImageLayerGzip, layer.Bytes())
	if err != nil {
		return err
	}
	config, err := oras.PushBytes(ctx, layout, ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"`+runtime.GOARCH+`","rootfs":{"type":"layers","diff_ids":[]}}`))
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{blob},
	})
	if err != nil {
		return err
	}
	_, err = oras.TagBytes(ctx, layout, ocispec.MediaTypeImageManifest, manifest, b.Name)
	return err
}

// Key makes a releaser's key.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Publish makes a release for this machine's platform, of which the command is
// [Hello], pushes it to a repository, and returns what its command knows of it.
func Publish(t testing.TB, repository string, list publish.List) prebuilt.Reference {
	t.Helper()
	key := Key(t)
	list.Command = Hello(t)
	m := publish.Maker{
		Root: list.Command.Module, Out: t.TempDir(), Repository: repository, Version: "v1", Key: key,
		Platforms: []string{"linux/" + runtime.GOARCH}, Reporter: progress.Discard, Export: Export,
	}
	made, err := m.Make(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Push(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	public, err := prebuilt.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return prebuilt.Reference{Version: "v1", Repository: repository, Parts: made.Parts.Digest, Key: public}
}
