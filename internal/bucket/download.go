package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Open returns a stream of an object. If the connection breaks or stalls, another
// one continues where it stopped. The caller has to compare a checksum.
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	d := &download{ctx: ctx, bucket: b, name: name}
	err := b.retry(ctx, "get "+name, 0, func(context.Context) error { return d.open() })
	if err != nil {
		return nil, err
	}
	return d, nil
}

// download is an object on its way out of the bucket.
type download struct {
	ctx    context.Context
	bucket *Bucket
	name   string

	body   io.ReadCloser
	cancel context.CancelFunc // of the request
	etag   string
	offset int64
	size   int64
	failed int // times in a row without a byte
}

// open asks for the object from where the download is. The stream outlives the
// attempt, so a timer bounds the attempt, and no deadline.
func (d *download) open() error {
	ctx, cancel := context.WithCancel(d.ctx)
	timer := time.AfterFunc(d.bucket.limits.answer, cancel)
	defer timer.Stop()
	o := minio.GetObjectOptions{}
	if d.offset > 0 {
		if err := o.SetRange(d.offset, 0); err != nil {
			cancel()
			return err
		}
		// One that is weak, which a proxy makes, matches nothing.
		if d.etag != "" && !strings.HasPrefix(d.etag, "W/") {
			o.Set("If-Match", strconv.Quote(d.etag))
		}
	}
	body, info, header, err := d.bucket.core.GetObject(ctx, d.bucket.options.Name, d.bucket.key(d.name), o)
	if err != nil {
		timedOut := ctx.Err() != nil && d.ctx.Err() == nil
		cancel()
		if timedOut {
			err = fmt.Errorf("no answer within %s: %w", d.bucket.limits.answer, context.DeadlineExceeded)
		}
		if codeOf(err) == "PreconditionFailed" {
			err = ErrChanged
		}
		return err
	}
	total := info.Size
	ranged := strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.offset))
	if d.offset > 0 && ranged {
		total += d.offset
	}
	if d.offset == 0 {
		d.etag, d.size = info.ETag, info.Size
	} else if d.size > 0 && info.Size > 0 && total != d.size {
		cancel()
		return errors.Join(ErrChanged, body.Close())
	} else if !ranged {
		// A store that knows no ranges sends all of it.
		if _, err := io.CopyN(io.Discard, body, d.offset); err != nil {
			cancel()
			return errors.Join(err, body.Close())
		}
	}
	d.body, d.cancel = body, cancel
	return nil
}

// Read reads on, by another request where one fails.
func (d *download) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := d.read(p)
		d.offset += int64(n)
		if n > 0 {
			d.failed = 0
		}
		switch {
		case n > 0:
			return n, nil // An error comes again.
		case err == io.EOF && (d.size <= 0 || d.offset >= d.size):
			return 0, io.EOF
		case d.ctx.Err() != nil:
			return 0, context.Cause(d.ctx)
		case err == nil:
			continue
		}
		if err := d.resume(err); err != nil {
			return 0, err
		}
	}
}

// read reads once, and ends the request if that brings nothing for long.
func (d *download) read(p []byte) (int, error) {
	if d.body == nil {
		return 0, io.ErrUnexpectedEOF
	}
	timer := time.AfterFunc(d.bucket.limits.stall, d.cancel)
	defer timer.Stop()
	return d.body.Read(p)
}

// resume replaces the request that failed with err.
func (d *download) resume(err error) error {
	_ = d.Close() // It is broken already.
	d.failed++
	if d.failed >= d.bucket.options.Tries || permanent(err) {
		return fmt.Errorf("get %s, after %d bytes: %w", d.name, d.offset, d.bucket.explain(unexpected(err)))
	}
	if err := d.bucket.sleep(d.ctx, d.bucket.options.Backoff<<(d.failed-1)); err != nil {
		return err
	}
	if openErr := d.open(); openErr != nil && permanent(openErr) {
		return fmt.Errorf("get %s, after %d bytes: %w", d.name, d.offset, d.bucket.explain(openErr))
	}
	return nil // What has not been opened fails in read, and is tried again.
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	d.cancel()
	err := d.body.Close()
	d.body = nil
	return err
}
