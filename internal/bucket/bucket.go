// Package bucket is an S3 bucket, wherever it is: Amazon's, Cloudflare R2, a Space,
// or the gateway of a local cluster. It is the one place that speaks S3.
//
// Requests that fail on the way are retried; those that the bucket refuses are not. An
// interrupted download continues where it stopped. When the last answer of an upload is
// lost, the package checks whether the object is there. Every PUT has Content-MD5, which
// buckets with object lock require, and the signed SHA-256 of its body, which every
// store checks. All parts of an upload have one size, as R2 requires.
//
// Errors wrap one of the package's own, such as [ErrNotFound]. The caller says what a
// person should do about them: [Hints].
package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"berth/internal/fault"
)

// Options say which bucket and how to get in. The keys are secret.
type Options struct {
	// Endpoint is "https://host:port"; https where it has no scheme.
	Endpoint, Region, Name string
	AccessKey, SecretKey   string
	// CA is a PEM bundle to trust besides the system's.
	CA []byte
	// Prefix goes before each key: "backups/". See [CleanPrefix].
	Prefix string
	// Tries is how often a request is tried in all; 0 stands for 6.
	Tries int
	// Backoff is the first pause before another try; it doubles with each. 0 stands
	// for half a second.
	Backoff time.Duration
	Hints   Hints
}

// Hints are what errors tell the user to do.
type Hints struct {
	// Keys is for keys that are not set or not accepted; Denied for accepted ones
	// that may not do what was asked, and is Keys where empty.
	Keys, Denied string
	// Name is for a bucket that does not exist, Endpoint for one not reached.
	Name, Endpoint string
}

// A Bucket is a bucket, or the part of it below a prefix.
type Bucket struct {
	core    *minio.Core
	options Options
	limits  limits
}

// limits bound waiting and memory. Tests have shorter ones.
type limits struct {
	// answer is how long a small request may take, complete how long the bucket
	// may take to assemble an upload: minutes, for one of many parts.
	answer, complete time.Duration
	// stall is how long a download may bring nothing.
	stall time.Duration
	// part is the least size of a part.
	part int64
}

var usual = limits{answer: 2 * time.Minute, complete: 20 * time.Minute, stall: 2 * time.Minute, part: 8 << 20}

// New returns the bucket without asking for it.
func New(o Options) (*Bucket, error) {
	for _, need := range []struct{ value, name, hint string }{
		{o.Endpoint, "endpoint", o.Hints.Endpoint}, {o.Name, "name", o.Hints.Name},
		{o.AccessKey, "access key", o.Hints.Keys}, {o.SecretKey, "secret key", o.Hints.Keys},
	} {
		if need.value == "" {
			return nil, hinted(fault.Usage("the bucket's %s is not set", need.name), need.hint)
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
	if o.Prefix, err = CleanPrefix(o.Prefix); err != nil {
		return nil, err
	}
	// Its requests are bounded by their contexts: how long an answer may take
	// depends on what was asked.
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, fmt.Errorf("reach the bucket: %w", err)
	}
	transport.ResponseHeaderTimeout = 0
	if len(o.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, fault.Usage("the bucket's CA holds no certificate")
		}
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), Secure: u.Scheme == "https",
		Region: o.Region, Transport: transport, MaxRetries: 1, // Trying again is done here.
	})
	if err != nil {
		return nil, fault.Usage("the bucket: %w", err)
	}
	if o.Tries == 0 {
		o.Tries = 6
	}
	if o.Backoff == 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Hints.Denied == "" {
		o.Hints.Denied = o.Hints.Keys
	}
	return &Bucket{core: core, options: o, limits: usual}, nil
}

// CleanPrefix returns the prefix that a person means by "/x/" or "a//b/": S3 takes
// every slash for a part of the name, a store on a file system does not.
func CleanPrefix(prefix string) (string, error) {
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "." || part == ".." {
			return "", fault.Usage("the prefix %q must not have a part %q", prefix, part)
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+prefix), "/")
	if clean != "" && strings.HasSuffix(prefix, "/") {
		clean += "/"
	}
	return clean, nil
}

// key is the name in the bucket of what is called name below the prefix.
func (b *Bucket) key(name string) string { return b.options.Prefix + name }

// retry makes one request until it succeeds, cannot succeed, or has been tried
// often enough. Each try may take as long as an answer may, and longer by extra.
func (b *Bucket) retry(ctx context.Context, what string, extra time.Duration, request func(context.Context) error) error {
	pause := b.options.Backoff
	for try := 1; ; try++ {
		attempt, cancel := context.WithTimeout(ctx, b.limits.answer+extra)
		err := request(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if permanent(err) || try >= b.options.Tries {
			return fmt.Errorf("%s: %w", what, b.explain(err))
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// sending is how much longer a try may take that sends so many bytes: a slow line
// takes its time.
func sending(bytes int64) time.Duration { return time.Duration(bytes/(64<<10)) * time.Second }
