package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// maxParts is how many parts S3 lets an upload have.
	maxParts = 10_000
	// Largest is how many bytes one object may have.
	Largest = 5 << 40
	// buffered bounds the memory of an upload whose parts are small enough for more
	// than two of them; inFlight is how many are sent at once at most.
	buffered = 256 << 20
	inFlight = 3
)

// PartSize is the size of the parts of an upload that is expected to have so many
// bytes. There is room for twice as many.
func PartSize(expected int64) int64 { return partSize(expected, usual.part) }

func partSize(expected, least int64) int64 {
	const step = 1 << 20
	room := min(2*min(max(expected, 0), Largest), Largest)
	size := (room + maxParts - 1) / maxParts
	return max((size+step-1)/step*step, least)
}

// Upload is an object that is being uploaded. It appears in the bucket when
// [Upload.Complete] returns, or not at all.
type Upload struct {
	bucket *Bucket
	ctx    context.Context
	cancel context.CancelCauseFunc
	name   string
	id     string // of the multipart upload, once there is more than one part

	bytes  int64
	number int
	size   int64 // of a part
	buffer []byte

	free    chan []byte // buffers to fill
	made    int
	most    int
	sending sync.WaitGroup
	mu      sync.Mutex
	parts   []minio.CompletePart
}

// Upload begins an object of a name that is not taken yet. How many bytes are
// expected decides on the size of the parts, which is the same for all of them; what
// fits into one is sent by one PUT.
func (b *Bucket) Upload(ctx context.Context, name string, expected int64) *Upload {
	ctx, cancel := context.WithCancelCause(ctx)
	size := partSize(expected, b.limits.part)
	most := int(min(max(buffered/size, 1), inFlight)) + 1
	return &Upload{bucket: b, ctx: ctx, cancel: cancel, name: name, size: size, most: most, free: make(chan []byte, most)}
}

// Context ends with the upload's first failure.
func (u *Upload) Context() context.Context { return u.ctx }

// Bytes is how many bytes have been written to it.
func (u *Upload) Bytes() int64 { return u.bytes }

// Write fills parts and hands full ones over. It blocks while too many are on
// their way, and fails as soon as one of them has failed for good.
func (u *Upload) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if len(u.buffer) == cap(u.buffer) {
			if err := u.next(); err != nil {
				return len(p) - len(rest), err
			}
		}
		n := min(len(rest), cap(u.buffer)-len(u.buffer))
		u.buffer = append(u.buffer, rest[:n]...)
		u.bytes += int64(n)
		rest = rest[n:]
	}
	return len(p), nil
}

// next sends a full buffer and gets an empty one for the next part.
func (u *Upload) next() error {
	if u.buffer != nil {
		if u.number == maxParts {
			return fmt.Errorf("%s is larger than was to be expected, and more than %d parts of %d bytes", u.name, maxParts, u.size)
		}
		if err := u.begin(); err != nil {
			return err
		}
		u.send()
	}
	u.number++
	if u.made < u.most {
		u.made++
		u.buffer = make([]byte, 0, u.size)
		return nil
	}
	select {
	case u.buffer = <-u.free:
		return nil
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
}

// begin makes it an upload of parts.
func (u *Upload) begin() error {
	if u.id != "" {
		return nil
	}
	b := u.bucket
	return b.retry(u.ctx, "begin the upload of "+u.name, 0, func(ctx context.Context) (err error) {
		u.id, err = b.core.NewMultipartUpload(ctx, b.options.Name, b.key(u.name), minio.PutObjectOptions{ContentType: "application/octet-stream"})
		return err
	})
}

func (u *Upload) send() {
	part, number := u.buffer, u.number
	u.buffer = nil
	u.sending.Go(func() {
		sums, b := sumsOf(part), u.bucket
		err := b.retry(u.ctx, fmt.Sprintf("upload part %d of %s", number, u.name), sending(int64(len(part))), func(ctx context.Context) error {
			sent, err := b.core.PutObjectPart(ctx, b.options.Name, b.key(u.name), u.id, number, bytes.NewReader(part), int64(len(part)),
				minio.PutObjectPartOptions{Md5Base64: sums.md5, Sha256Hex: sums.sha256, DisableContentSha256: true})
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

// Complete makes the object appear, and checks its size.
func (u *Upload) Complete() error {
	b := u.bucket
	if u.id == "" {
		if err := context.Cause(u.ctx); err != nil {
			return err
		}
		defer u.cancel(nil)
		if err := b.Put(u.ctx, u.name, u.buffer); err != nil {
			return err
		}
		return u.check()
	}
	u.send()
	u.sending.Wait()
	if err := context.Cause(u.ctx); err != nil {
		return err
	}
	defer u.cancel(nil)
	slices.SortFunc(u.parts, func(a, b minio.CompletePart) int { return a.PartNumber - b.PartNumber })
	err := b.retry(u.ctx, "complete the upload of "+u.name, b.limits.complete, func(ctx context.Context) error {
		_, err := b.core.CompleteMultipartUpload(ctx, b.options.Name, b.key(u.name), u.id, u.parts, minio.PutObjectOptions{})
		if err == nil || permanent(err) && codeOf(err) != "NoSuchUpload" {
			return err
		}
		// The answer may have been lost, or be late, and the object be there.
		asking, cancel := context.WithTimeout(u.ctx, b.limits.answer)
		defer cancel()
		info, statErr := b.core.StatObject(asking, b.options.Name, b.key(u.name), minio.StatObjectOptions{})
		if statErr == nil && (info.Size == u.bytes || info.Size < 0) {
			return nil // Its size is compared below.
		}
		return err
	})
	if err != nil {
		return err
	}
	return u.check()
}

// check compares what the bucket holds with what was written.
func (u *Upload) check() error {
	b := u.bucket
	o, err := b.written(u.ctx, u.name)
	if err == nil && o.Size != u.bytes {
		err = fmt.Errorf("%s has %d bytes in the bucket, want %d", u.name, o.Size, u.bytes)
	}
	if err != nil {
		return errors.Join(err, b.Delete(u.ctx, u.name))
	}
	return nil
}

// Abort gives the upload up. It works after the context has ended, too.
func (u *Upload) Abort() error {
	u.cancel(context.Canceled)
	u.sending.Wait()
	if u.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), 10*time.Second)
	defer cancel()
	b := u.bucket
	return b.retry(ctx, "give up the upload of "+u.name, 0, func(ctx context.Context) error {
		err := b.core.AbortMultipartUpload(ctx, b.options.Name, b.key(u.name), u.id)
		if err != nil && codeOf(err) == "NoSuchUpload" {
			return nil
		}
		return err
	})
}
