package prebuilt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"berth/internal/progress"
)

// largestManifest, in bytes, is what registries take at most.
const largestManifest = 4 << 20

var errWrongBytes = errors.New("it is not what was released: its digest differs")

// manifest returns the manifest or the index of a digest.
func (r *Release) manifest(ctx context.Context, wanted digest.Digest) ([]byte, error) {
	return r.named(ctx, wanted.String(), func(content []byte) error {
		if digest.FromBytes(content) != wanted {
			return errWrongBytes
		}
		return nil
	})
}

// named returns what the repository has under a tag or digest, after a check.
func (r *Release) named(ctx context.Context, reference string, check func([]byte) error) (content []byte, err error) {
	err = r.watched(ctx, func(ctx context.Context, moved func()) error {
		_, body, err := r.remote.FetchReference(ctx, reference)
		if err != nil {
			return err
		}
		defer body.Close()
		if content, err = io.ReadAll(io.LimitReader(body, largestManifest)); err != nil {
			return err
		}
		return check(content)
	})
	return content, err
}

func (r *Release) imageManifest(ctx context.Context, wanted digest.Digest) (manifest ocispec.Manifest, content []byte, err error) {
	if content, err = r.manifest(ctx, wanted); err != nil {
		return manifest, nil, err
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return manifest, nil, fmt.Errorf("read its manifest: %w", err)
	}
	return manifest, content, nil
}

var errStalled = errors.New("it does not answer")

// watched calls work with a context that ends when work has not called moved
// for as long as the release has patience.
func (r *Release) watched(ctx context.Context, work func(ctx context.Context, moved func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(r.Patience, func() { cancel(errStalled) })
	defer timer.Stop()
	err := work(ctx, func() { timer.Reset(r.Patience) })
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// tries bounds how often a download goes on after it was cut off.
const tries = 3

// blob brings a blob into a file. What an earlier try, or a command that was
// killed, has brought is not fetched again where the registry can begin in the
// middle.
func (r *Release) blob(ctx context.Context, blob ocispec.Descriptor, file string, step progress.Step) error {
	if content, err := os.Open(file); err == nil {
		defer content.Close()
		if found, err := digest.FromReader(content); err == nil && found == blob.Digest {
			return nil
		}
	}
	for try := 1; ; try++ {
		err := r.watched(ctx, func(ctx context.Context, moved func()) error {
			return r.download(ctx, blob, file+".part", step, moved)
		})
		if err == nil {
			return os.Rename(file+".part", file)
		}
		if ctx.Err() != nil || try == tries || errors.Is(err, errWrongBytes) || errors.Is(err, errStalled) || errors.Is(err, errdef.ErrNotFound) {
			return err
		}
	}
}

func (r *Release) download(ctx context.Context, blob ocispec.Descriptor, file string, step progress.Step, moved func()) (err error) {
	partial, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, partial.Close()) }()
	hash := blob.Digest.Algorithm().Hash()
	have, err := io.Copy(hash, partial)
	if err != nil {
		return err
	}
	restart := func() error {
		have = 0
		hash.Reset()
		_, err := partial.Seek(0, io.SeekStart)
		return errors.Join(err, partial.Truncate(0))
	}
	if have > blob.Size {
		if err := restart(); err != nil {
			return err
		}
	}
	if have < blob.Size {
		body, err := r.remote.Blobs().Fetch(ctx, blob)
		if err != nil {
			return err
		}
		defer body.Close()
		if have > 0 {
			if from, ok := body.(io.Seeker); !ok {
				err = restart()
			} else if _, err = from.Seek(have, io.SeekStart); err != nil {
				err = restart()
			}
			if err != nil {
				return err
			}
		}
		to := &counter{done: have, total: blob.Size, step: step, moved: moved}
		if _, err := io.Copy(io.MultiWriter(partial, hash, to), io.LimitReader(body, blob.Size-have+1)); err != nil {
			return err
		}
		if have = to.done; have < blob.Size {
			return io.ErrUnexpectedEOF
		}
	}
	if digest.NewDigest(blob.Digest.Algorithm(), hash) != blob.Digest {
		return errors.Join(errWrongBytes, restart())
	}
	return partial.Sync()
}

// counter follows a download.
type counter struct {
	done, total int64
	step        progress.Step
	moved       func()
}

func (c *counter) Write(data []byte) (int, error) {
	c.moved()
	before := c.done
	if c.done += int64(len(data)); c.done>>20 != before>>20 {
		c.step.Detail(fmt.Sprintf("%d of %d MiB", c.done>>20, c.total>>20+1))
	}
	return len(data), nil
}

// small returns the content of a blob that is a few lines.
func (r *Release) small(ctx context.Context, blob ocispec.Descriptor) (found []byte, err error) {
	err = r.watched(ctx, func(ctx context.Context, moved func()) error {
		body, err := r.remote.Blobs().Fetch(ctx, blob)
		if err != nil {
			return err
		}
		defer body.Close()
		found, err = content.ReadAll(body, blob)
		return err
	})
	return found, err
}

// moving is where something is copied from, and tells that it moves.
type moving struct {
	oras.ReadOnlyTarget
	moved func()
}

func (m moving) Fetch(ctx context.Context, what ocispec.Descriptor) (io.ReadCloser, error) {
	body, err := m.ReadOnlyTarget.Fetch(ctx, what)
	return movingBody{body, m.moved}, err
}

type movingBody struct {
	io.ReadCloser
	moved func()
}

func (m movingBody) Read(data []byte) (int, error) {
	m.moved()
	return m.ReadCloser.Read(data)
}
