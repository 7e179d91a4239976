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
// again.
func (b *Bucket) List(ctx context.Context, o ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		after := ""
		if o.After != "" {
			after = b.key(o.After)
		}
		delimiter := "/"
		if o.Recursive {
			delimiter = ""
		}
		for token := ""; ; {
			var page minio.ListBucketV2Result
			err := b.retry(ctx, "list bucket "+b.options.Name, 0, func(ctx context.Context) (err error) {
				page, err = within(ctx, func() (minio.ListBucketV2Result, error) {
					return b.core.ListObjectsV2(b.options.Name, b.key(o.Below), after, token, delimiter, 1000)
				})
				return err
			})
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, info := range page.Contents {
				if !yield(Object{strings.TrimPrefix(info.Key, b.options.Prefix), info.Size, info.LastModified}, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextContinuationToken == "" {
				return
			}
			token = page.NextContinuationToken
		}
	}
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
	return Object{name, info.Size, info.LastModified}, err
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
	if errors.Is(err, ErrUnsupported) {
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
