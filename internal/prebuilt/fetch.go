package prebuilt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"

	"berth/internal/progress"
)

// Program brings a program into a file, and reports whether it is there now.
// Where it is not, the caller compiles it: a line to the reporter has said why.
// The error is the context's.
func (r *Release) Program(ctx context.Context, part Part, file string, reporter progress.Reporter) (bool, error) {
	return r.take(ctx, part, reporter, func(step progress.Step) error { return r.program(ctx, part, file, step) })
}

func (r *Release) program(ctx context.Context, part Part, file string, step progress.Step) error {
	found, err := r.find(ctx, part)
	if err != nil {
		return err
	}
	manifest, _, err := r.imageManifest(ctx, found.Digest)
	if err != nil {
		return err
	}
	if len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != ProgramLayerType {
		return errors.New("it is not a program")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	compressed := file + ".zst"
	if err := r.blob(ctx, manifest.Layers[0], compressed, step); err != nil {
		return err
	}
	step.Detail("unpacking")
	if err := decompress(compressed, file+".new"); err != nil {
		return fmt.Errorf("unpack it: %w", err)
	}
	// Ready under its name only when it is whole.
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	return os.Remove(compressed)
}

func decompress(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	content, err := zstd.NewReader(in)
	if err != nil {
		return err
	}
	defer content.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Sync(), out.Close())
}

// imageTag is what the one image of a layout on disk is called in it.
const imageTag = "image"

// Image brings an image for this machine into a folder, as an OCI layout, and
// reports whether it is there now; see [Release.Program].
func (r *Release) Image(ctx context.Context, part Part, folder string, reporter progress.Reporter) (bool, error) {
	return r.take(ctx, part, reporter, func(step progress.Step) error { return r.image(ctx, part, folder, step) })
}

func (r *Release) image(ctx context.Context, part Part, folder string, step progress.Step) error {
	found, err := r.find(ctx, part)
	if err != nil {
		return err
	}
	manifest, content, err := r.imageManifest(ctx, found.Digest)
	if err != nil {
		return err
	}
	partial := folder + ".new" // with what an interrupted command has brought
	blobs := filepath.Join(partial, ocispec.ImageBlobsDir, "sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	for _, blob := range append(manifest.Layers, manifest.Config) {
		if err := r.blob(ctx, blob, filepath.Join(blobs, blob.Digest.Encoded()), step); err != nil {
			return err
		}
	}
	found.Annotations = map[string]string{ocispec.AnnotationRefName: imageTag}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{found},
	})
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{
		filepath.Join(blobs, found.Digest.Encoded()):    content,
		filepath.Join(partial, ocispec.ImageIndexFile):  index,
		filepath.Join(partial, ocispec.ImageLayoutFile): []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return fmt.Errorf("keep it: %w", err)
		}
	}
	if err := os.Rename(partial, folder); err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	return nil
}

// Push takes the image in a folder that [Release.Image] made to a repository, by
// a tag that it makes of the image's digest, and returns the digest.
func Push(ctx context.Context, folder string, to oras.Target) (digest string, err error) {
	layout, err := oci.NewFromFS(ctx, os.DirFS(folder))
	if err != nil {
		return "", fmt.Errorf("read image layout %s: %w", folder, err)
	}
	image, err := layout.Resolve(ctx, imageTag)
	if err != nil {
		return "", fmt.Errorf("read image layout %s: %w", folder, err)
	}
	_, err = oras.Copy(ctx, layout, imageTag, to, image.Digest.Encoded()[:12], oras.DefaultCopyOptions)
	return image.Digest.String(), err
}

// Copy takes an image for all its platforms to another repository,
// "ghcr.io/me/backup", and returns its reference by digest there, or "" where
// the caller has to build it; see [Release.Program].
func (r *Release) Copy(ctx context.Context, part Part, repository string, reporter progress.Reporter) (byDigest string, err error) {
	copied, err := r.take(ctx, part, reporter, func(step progress.Step) error {
		index, err := r.index(ctx, part)
		if err != nil {
			return err
		}
		to, err := Repository(repository, r.Patience)
		if err != nil {
			return err
		}
		step.Detail("to " + repository)
		byDigest = repository + "@" + index.Digest.String()
		return r.watched(ctx, func(ctx context.Context, moved func()) error {
			// The reader of a blob compares it with its digest.
			_, err := oras.Copy(ctx, moving{r.remote, moved}, index.Digest.String(), to, index.Digest.Encoded()[:12], oras.DefaultCopyOptions)
			return err
		})
	})
	if !copied {
		byDigest = ""
	}
	return byDigest, err
}
