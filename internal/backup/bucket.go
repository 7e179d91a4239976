package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"berth/internal/fault"
)

// BucketOptions say which bucket and how to get in. The keys are secret.
type BucketOptions struct {
	// Endpoint is "https://host:port"; https where it has no scheme.
	Endpoint, Region, Name string
	AccessKey, SecretKey   string
	// CA is a PEM bundle to trust besides the system's.
	CA []byte
	// Prefix goes before each object's name: "backups/". Backups of two
	// databases want two prefixes.
	Prefix string
	// Backoff is the first pause before a request is tried again; it doubles
	// with every further try of five. 0 stands for half a second.
	Backoff time.Duration
}

// A Bucket is the place that backups are kept in.
type Bucket struct {
	core    *minio.Core
	name    string
	prefix  string
	backoff time.Duration
}

const tries = 6

// NewBucket returns the bucket without asking for it.
func NewBucket(o BucketOptions) (*Bucket, error) {
	for _, need := range []struct{ value, name string }{
		{o.Endpoint, "endpoint"}, {o.Name, "name"}, {o.AccessKey, "access key"}, {o.SecretKey, "secret key"},
	} {
		if need.value == "" {
			return nil, fault.WithHint(fault.Usage("the bucket's %s is not set", need.name),
				"set BUCKET_ENDPOINT, BUCKET_NAME, BUCKET_ACCESS_KEY and BUCKET_SECRET_KEY, or put the keys into .s3cfg")
		}
	}
	endpoint := o.Endpoint
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fault.Usage("the bucket's endpoint is not an http(s) URL")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	if len(o.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, fault.Usage("the bucket's CA file holds no certificate")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), Secure: u.Scheme == "https",
		Region: o.Region, Transport: transport, MaxRetries: 1, // The retrying is done here.
	})
	if err != nil {
		return nil, fault.Usage("the bucket: %w", err)
	}
	backoff := o.Backoff
	if backoff == 0 {
		backoff = 500 * time.Millisecond
	}
	return &Bucket{core: core, name: o.Name, prefix: o.Prefix, backoff: backoff}, nil
}

// retry does one request until it succeeds, cannot succeed, or has been tried
// often enough.
func (b *Bucket) retry(ctx context.Context, what string, request func(context.Context) error) error {
	pause := b.backoff
	for try := 1; ; try++ {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Minute)
		err := request(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if permanent(err) || try == tries {
			return fmt.Errorf("%s: %w", what, bucketError(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// permanent reports whether the server has refused, rather than failed.
func permanent(err error) bool {
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		var certificate x509.UnknownAuthorityError
		return errors.As(err, &certificate)
	}
	switch response.Code {
	case "RequestTimeout", "SlowDown", "Throttling", "RequestTimeTooSkewed":
		return response.Code == "RequestTimeTooSkewed"
	}
	return response.StatusCode >= 400 && response.StatusCode < 500 && response.StatusCode != http.StatusRequestTimeout &&
		response.StatusCode != http.StatusTooManyRequests
}

// bucketError gives hints with what the server refuses for.
func bucketError(err error) error {
	var response minio.ErrorResponse
	var network net.Error
	switch {
	case errors.As(err, &response):
		switch response.Code {
		case "NoSuchKey":
			return fmt.Errorf("%w: %w", ErrNone, err)
		case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
			return fault.WithHint(fmt.Errorf("the bucket refuses the key (%s): %w", response.Code, err), "check the bucket's access key and secret key")
		case "NoSuchBucket":
			return fault.WithHint(err, "check the bucket's name, or make the bucket")
		}
	case errors.As(err, &network):
		return fault.WithHint(fmt.Errorf("the bucket cannot be reached: %w", err), "check the bucket's endpoint")
	}
	return err
}

type object struct {
	name     string // without the prefix
	modified time.Time
	size     int64
}

// list returns all objects below the prefix, folders below it left out.
func (b *Bucket) list(ctx context.Context) (objects []object, err error) {
	err = b.retry(ctx, "list the bucket", func(ctx context.Context) error {
		objects = nil
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the listing after an error
		for info := range b.core.Client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix}) {
			if info.Err != nil {
				return info.Err
			}
			objects = append(objects, object{strings.TrimPrefix(info.Key, b.prefix), info.LastModified, info.Size})
		}
		return nil
	})
	return objects, err
}

func (b *Bucket) put(ctx context.Context, name string, data []byte) error {
	sum := sha256.Sum256(data)
	return b.retry(ctx, "put "+name, func(ctx context.Context) error {
		_, err := b.core.PutObject(ctx, b.name, b.prefix+name, bytes.NewReader(data), int64(len(data)), "", hex.EncodeToString(sum[:]), minio.PutObjectOptions{})
		return err
	})
}

func (b *Bucket) putJSON(ctx context.Context, name string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return b.put(ctx, name, append(data, '\n'))
}

func (b *Bucket) getJSON(ctx context.Context, name string, value any) error {
	var data []byte
	err := b.retry(ctx, "get "+name, func(ctx context.Context) error {
		body, _, _, err := b.core.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		// The manifest of a hundred thousand tables is smaller than that.
		data, err = io.ReadAll(io.LimitReader(body, 64<<20))
		return err
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	return nil
}

// open returns a stream of an object.
func (b *Bucket) open(ctx context.Context, name string) (body io.ReadCloser, err error) {
	open := func(context.Context) (err error) {
		// The stream outlives the attempt to open it.
		body, _, _, err = b.core.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
		return err
	}
	err = b.retry(ctx, "get "+name, open)
	return body, err
}

// remove removes an object. It does not mind if there is none.
func (b *Bucket) remove(ctx context.Context, name string) error {
	err := b.retry(ctx, "remove "+name, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, ErrNone) {
		return nil
	}
	return err
}

// abortUploads gives up what was begun before a time and never completed: it
// takes room, and costs money, without being seen.
func (b *Bucket) abortUploads(ctx context.Context, before time.Time) (aborted int, err error) {
	err = b.retry(ctx, "abort unfinished uploads", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for upload := range b.core.ListIncompleteUploads(ctx, b.name, b.prefix, true) {
			if upload.Err != nil {
				return upload.Err
			}
			if !upload.Initiated.Before(before) {
				continue
			}
			if err := b.core.AbortMultipartUpload(ctx, b.name, upload.Key, upload.UploadID); err != nil {
				return err
			}
			aborted++
		}
		return nil
	})
	return aborted, err
}
