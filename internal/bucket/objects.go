package bucket

import (
	"bytes"
	"context"
	"crypto/md5" // what Content-MD5 is of
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// An Object is one object in the bucket.
type Object struct {
	// Name is its key without the prefix.
	Name     string
	Size     int64
	Modified time.Time
}

// ListOptions say which objects are meant. The zero value means all below the
// prefix, without those in folders.
type ListOptions struct {
	// Below is what names begin with, and After what they come after.
	Below, After string
	// Recursive includes folders.
	Recursive bool
}

// List lists objects in the order of their names. If a page fails, it is requested
// again. From a store that does not know version 2 of S3's listing, pages come by
// version 1.
func (b *Bucket) List(ctx context.Context, o ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		after := ""
		if o.After != "" {
			after = b.key(o.After)
		}
		for next := (place{after: after}); ; {
			var part page
			err := b.retry(ctx, "list bucket "+b.options.Name, 0, func(ctx context.Context) (err error) {
				part, err = within(ctx, func() (page, error) { return b.page(o, next) })
				return err
			})
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, info := range part.objects {
				if info.Key <= after {
					continue // The store does not know the parameter.
				}
				if !yield(Object{strings.TrimPrefix(info.Key, b.options.Prefix), info.Size, info.LastModified}, nil) {
					return
				}
			}
			if part.next == (place{}) {
				return
			}
			next = part.next
		}
	}
}

// place is where a listing goes on: after a key, or, of version 2, at a token.
type place struct {
	after, token string
	old          bool
}

// page is a part of a listing; next is empty at its end.
type page struct {
	objects []minio.ObjectInfo
	next    place
}

// page asks for one page of a listing.
func (b *Bucket) page(o ListOptions, at place) (page, error) {
	delimiter := "/"
	if o.Recursive {
		delimiter = ""
	}
	if !at.old {
		answer, err := b.core.ListObjectsV2(b.options.Name, b.key(o.Below), at.after, at.token, delimiter, 1000)
		switch {
		case err == nil && answer.Name == "" && answer.MaxKeys == 0 && len(answer.Contents)+len(answer.CommonPrefixes) == 0:
			// Any XML is taken for a listing, and a page of HTML for an empty one.
			return page{}, ErrNotS3
		case err == nil && answer.IsTruncated:
			return page{answer.Contents, place{after: at.after, token: answer.NextContinuationToken}}, nil
		case err == nil:
			return page{answer.Contents, place{}}, nil
		case codeOf(err) != minio.NotImplemented || at.token != "":
			return page{}, err
		}
	}
	answer, err := b.core.ListObjects(b.options.Name, b.key(o.Below), at.after, delimiter, 1000)
	if err != nil || !answer.IsTruncated {
		return page{objects: answer.Contents}, err
	}
	next := place{after: answer.NextMarker, old: true}
	if next.after == "" { // S3 tells it only with a delimiter.
		for _, info := range answer.Contents {
			next.after = max(next.after, info.Key)
		}
		for _, folder := range answer.CommonPrefixes {
			next.after = max(next.after, folder.Prefix)
		}
	}
	if next.after <= at.after {
		return page{}, fmt.Errorf("%w: its listing is cut off and does not go on", ErrUnsupported)
	}
	return page{answer.Contents, next}, nil
}

// within bounds a call of the library that takes no context. The call goes on by
// itself when the context ends.
func within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := call()
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Put writes a small object, and replaces one of that name.
func (b *Bucket) Put(ctx context.Context, name string, data []byte) error {
	return b.put(ctx, name, data, minio.PutObjectOptions{})
}

// PutNew writes a small object unless there is one of that name. It reports whether
// there was none; a store that does not know the condition wraps [ErrUnsupported]
// or always writes.
func (b *Bucket) PutNew(ctx context.Context, name string, data []byte) (made bool, err error) {
	o := minio.PutObjectOptions{}
	o.SetMatchETagExcept("*")
	err = b.put(ctx, name, data, o)
	if codeOf(err) == "PreconditionFailed" {
		return false, nil
	}
	return err == nil, err
}

func (b *Bucket) put(ctx context.Context, name string, data []byte, o minio.PutObjectOptions) error {
	sums := sumsOf(data)
	// The signature covers the SHA-256 of all of it. Without this, each 64 KB would be
	// signed as well, in a way that some servers refuse.
	o.DisableContentSha256 = true
	return b.retry(ctx, "put "+name, sending(int64(len(data))), func(ctx context.Context) error {
		_, err := b.core.PutObject(ctx, b.options.Name, b.key(name), bytes.NewReader(data), int64(len(data)), sums.md5, sums.sha256, o)
		return err
	})
}

// sums are what the bucket compares a body with.
type sums struct{ md5, sha256 string }

func sumsOf(data []byte) sums {
	m, s := md5.Sum(data), sha256.Sum256(data)
	return sums{base64.StdEncoding.EncodeToString(m[:]), hex.EncodeToString(s[:])}
}

// Get reads an object of at most so many bytes; of a larger one it returns one more.
func (b *Bucket) Get(ctx context.Context, name string, most int64) ([]byte, error) {
	body, err := b.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, most+1))
}

// Stat describes an object.
func (b *Bucket) Stat(ctx context.Context, name string) (Object, error) {
	var info minio.ObjectInfo
	err := b.retry(ctx, "look at "+name, 0, func(ctx context.Context) (err error) {
		info, err = b.core.StatObject(ctx, b.options.Name, b.key(name), minio.StatObjectOptions{})
		return err
	})
	if err != nil || info.Size >= 0 {
		return Object{name, info.Size, info.LastModified}, err
	}
	// A proxy may leave out the size, which a listing has.
	for listed, err := range b.List(ctx, ListOptions{Below: name, Recursive: true}) {
		if err != nil || listed.Name == name {
			return listed, err
		}
	}
	return Object{}, fmt.Errorf("look at %s: %w", name, ErrNotFound)
}

// written describes an object that was just written, which a store may find only
// after a while.
func (b *Bucket) written(ctx context.Context, name string) (Object, error) {
	for try := 1; ; try++ {
		o, err := b.Stat(ctx, name)
		if !errors.Is(err, ErrNotFound) || try >= b.options.Tries {
			return o, err
		}
		if err := b.sleep(ctx, b.options.Backoff<<(try-1)); err != nil {
			return o, err
		}
	}
}

// Delete removes an object. It does not mind if there is none.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	err := b.retry(ctx, "remove "+name, 0, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.options.Name, b.key(name), minio.RemoveObjectOptions{})
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// AbortUploads gives up what was begun before a time and never completed: it takes
// room, and costs money, without being seen. A store that does not list uploads
// has none to abort.
func (b *Bucket) AbortUploads(ctx context.Context, before time.Time) (aborted int, err error) {
	err = b.retry(ctx, "abort unfinished uploads", 0, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the listing after an error
		for upload := range b.core.ListIncompleteUploads(ctx, b.options.Name, b.options.Prefix, true) {
			if upload.Err != nil {
				return upload.Err
			}
			if !upload.Initiated.Before(before) {
				continue
			}
			err := b.core.AbortMultipartUpload(ctx, b.options.Name, upload.Key, upload.UploadID)
			if err != nil && codeOf(err) != "NoSuchUpload" {
				return err
			}
			aborted++
		}
		return nil
	})
	if errors.Is(err, ErrUnsupported) || codeOf(err) == "MethodNotAllowed" {
		return aborted, nil
	}
	return aborted, err
}

// Exists reports whether the bucket is there.
func (b *Bucket) Exists(ctx context.Context) (there bool, err error) {
	err = b.retry(ctx, "look for bucket "+b.options.Name, 0, func(ctx context.Context) (err error) {
		there, err = b.core.BucketExists(ctx, b.options.Name)
		return err
	})
	return there, err
}

// Make makes the bucket in a region, private. It does not mind if it is there and
// the caller's own.
func (b *Bucket) Make(ctx context.Context, region string) error {
	err := b.retry(ctx, "make bucket "+b.options.Name, 0, func(ctx context.Context) error {
		return b.core.MakeBucket(ctx, b.options.Name, minio.MakeBucketOptions{Region: region})
	})
	if codeOf(err) == "BucketAlreadyOwnedByYou" {
		return nil
	}
	return err
}

// EnableVersioning makes the bucket keep replaced and deleted objects.
func (b *Bucket) EnableVersioning(ctx context.Context) error {
	return b.retry(ctx, "keep versions in bucket "+b.options.Name, 0, func(ctx context.Context) error {
		return b.core.EnableVersioning(ctx, b.options.Name)
	})
}

// Remove removes the bucket with all that is in it, also what was deleted before
// and is kept as an older version. It reports how many objects are removed.
func (b *Bucket) Remove(ctx context.Context, report func(removed int)) error {
	listing, stop := context.WithCancel(ctx)
	defer stop()
	removed := 0
	for object := range b.core.Client.ListObjects(listing, b.options.Name, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if object.Err != nil {
			return fmt.Errorf("list bucket %s: %w", b.options.Name, b.explain(object.Err))
		}
		err := b.retry(ctx, "remove "+object.Key, 0, func(ctx context.Context) error {
			return b.core.RemoveObject(ctx, b.options.Name, object.Key, minio.RemoveObjectOptions{VersionID: object.VersionID})
		})
		if err != nil {
			return err
		}
		removed++
		report(removed)
	}
	for upload := range b.core.ListIncompleteUploads(listing, b.options.Name, "", true) {
		if upload.Err != nil {
			return fmt.Errorf("list unfinished uploads of bucket %s: %w", b.options.Name, b.explain(upload.Err))
		}
		if err := b.core.RemoveIncompleteUpload(ctx, b.options.Name, upload.Key); err != nil {
			return fmt.Errorf("end the upload of %s: %w", upload.Key, b.explain(err))
		}
	}
	err := b.retry(ctx, "remove bucket "+b.options.Name, 0, func(ctx context.Context) error {
		return b.core.RemoveBucket(ctx, b.options.Name)
	})
	if errors.Is(err, ErrNoBucket) {
		return nil
	}
	return err
}
