package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// smallPart times smallParts is 16 GB, which most dumps stay below; the
	// larger ones, up to S3's limit of 10,000 parts, reach half a terabyte.
	smallPart  = 8 << 20
	largePart  = 64 << 20
	smallParts = 2000
	maxParts   = 10_000
	// inFlight parts are sent at once while the next is filled, which bounds
	// memory to as many buffers and one.
	inFlight = 3
)

// upload is an object on its way into the bucket. It appears there when
// [upload.complete] returns, or not at all.
type upload struct {
	bucket *Bucket
	ctx    context.Context
	cancel context.CancelCauseFunc
	name   string
	id     string

	hash   hash.Hash
	bytes  int64
	number int
	buffer []byte

	free    chan []byte // buffers to fill
	made    int
	sending sync.WaitGroup
	mu      sync.Mutex
	parts   []minio.CompletePart
}

func (b *Bucket) upload(ctx context.Context, name string) (*upload, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	u := &upload{bucket: b, ctx: ctx, cancel: cancel, name: name, hash: sha256.New(), free: make(chan []byte, inFlight+1)}
	err := b.retry(ctx, "begin the upload of "+name, func(ctx context.Context) (err error) {
		u.id, err = b.core.NewMultipartUpload(ctx, b.name, b.prefix+name, minio.PutObjectOptions{ContentType: "application/octet-stream"})
		return err
	})
	if err != nil {
		cancel(err)
		return nil, err
	}
	return u, nil
}

// Write fills parts and hands full ones over. It blocks while too many are on
// their way, and fails as soon as one of them has failed for good.
func (u *upload) Write(p []byte) (int, error) {
	u.hash.Write(p)
	u.bytes += int64(len(p))
	for rest := p; len(rest) > 0; {
		if u.buffer == nil {
			if err := u.next(); err != nil {
				return len(p) - len(rest), err
			}
		}
		n := min(len(rest), cap(u.buffer)-len(u.buffer))
		u.buffer = append(u.buffer, rest[:n]...)
		rest = rest[n:]
		if len(u.buffer) == cap(u.buffer) {
			u.send()
		}
	}
	return len(p), nil
}

// next gets an empty buffer for the next part.
func (u *upload) next() error {
	u.number++
	size := smallPart
	if u.number > smallParts {
		size = largePart
	}
	if u.number > maxParts {
		return errors.New("the dump is too large for one object of the bucket")
	}
	if u.made <= inFlight {
		u.made++
		u.buffer = make([]byte, 0, size)
		return nil
	}
	select {
	case u.buffer = <-u.free:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	if cap(u.buffer) < size {
		u.buffer = make([]byte, 0, size)
	}
	return nil
}

func (u *upload) send() {
	part, number := u.buffer, u.number
	u.buffer = nil
	u.sending.Go(func() {
		sum := sha256.Sum256(part)
		err := u.bucket.retry(u.ctx, fmt.Sprintf("upload part %d of %s", number, u.name), func(ctx context.Context) error {
			// The server compares the part with its checksum, which the request's
			// signature covers; a checksum in a trailer, some servers refuse. The
			// option only leaves out signing each 64 KB as well.
			sent, err := u.bucket.core.PutObjectPart(ctx, u.bucket.name, u.bucket.prefix+u.name, u.id, number,
				bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true})
			if err != nil {
				return err
			}
			u.mu.Lock()
			defer u.mu.Unlock()
			u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: sent.ETag})
			return nil
		})
		if err != nil {
			u.cancel(err)
			return
		}
		u.free <- part[:0]
	})
}

// complete makes the object appear and checks its size.
func (u *upload) complete() (Object, error) {
	if len(u.buffer) > 0 {
		u.send()
	}
	u.sending.Wait()
	if err := context.Cause(u.ctx); err != nil {
		return Object{}, err
	}
	defer u.cancel(nil)
	slices.SortFunc(u.parts, func(a, b minio.CompletePart) int { return a.PartNumber - b.PartNumber })
	b := u.bucket
	var unsure bool
	err := b.retry(u.ctx, "complete the upload of "+u.name, func(ctx context.Context) error {
		_, err := b.core.CompleteMultipartUpload(ctx, b.name, b.prefix+u.name, u.id, u.parts, minio.PutObjectOptions{})
		// An answer that got lost on the way: the size below will tell.
		if unsure && minio.ToErrorResponse(err).Code == "NoSuchUpload" {
			return nil
		}
		unsure = err != nil
		return err
	})
	if err != nil {
		return Object{}, err
	}
	err = b.retry(u.ctx, "look at "+u.name, func(ctx context.Context) error {
		info, err := b.core.StatObject(ctx, b.name, b.prefix+u.name, minio.StatObjectOptions{})
		if err == nil && info.Size != u.bytes {
			return fmt.Errorf("the bucket holds %d bytes of %d", info.Size, u.bytes)
		}
		return err
	})
	if err != nil {
		return Object{}, errors.Join(err, b.remove(u.ctx, u.name))
	}
	return Object{Name: u.name, Bytes: u.bytes, SHA256: hex.EncodeToString(u.hash.Sum(nil))}, nil
}

// abort gives the upload up. It works after the context has ended, too.
func (u *upload) abort() error {
	u.cancel(context.Canceled)
	u.sending.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), 10*time.Second)
	defer cancel()
	return u.bucket.core.AbortMultipartUpload(ctx, u.bucket.name, u.bucket.prefix+u.name, u.id)
}
