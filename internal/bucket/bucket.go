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
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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

	transport http.RoundTripper
	// busy is until when the store has asked to be left alone, in Unix nanoseconds.
	busy atomic.Int64
}

// RoundTrip makes a request, and notes for how long the store wants no other.
func (b *Bucket) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.transport.RoundTrip(r)
	if err == nil && (response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable) {
		text := response.Header.Get("Retry-After")
		if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
			b.busy.Store(time.Now().Add(time.Duration(seconds) * time.Second).UnixNano())
		} else if at, err := http.ParseTime(text); err == nil {
			b.busy.Store(at.UnixNano())
		}
	}
	return response, err
}

// limits bound waiting and memory. Tests have shorter ones.
type limits struct {
	// answer is how long a small request may take, complete how long the bucket
	// may take to assemble an upload: minutes, for one of many parts.
	answer, complete time.Duration
	// stall is how long a download may bring nothing.
	stall time.Duration
	// busy is how long at most a store's wish to be left alone is heeded.
	busy time.Duration
	// part is the least size of a part.
	part int64
}

var usual = limits{answer: 2 * time.Minute, complete: 20 * time.Minute, stall: 2 * time.Minute, busy: 2 * time.Minute, part: 8 << 20}

// New returns the bucket without asking for it.
func New(o Options) (*Bucket, error) {
	// A file or a form adds a line end, which no header may have.
	for _, text := range []*string{&o.Endpoint, &o.Name, &o.Region, &o.AccessKey, &o.SecretKey} {
		*text = strings.TrimSpace(*text)
	}
	for _, need := range []struct{ value, name, hint string }{
		{o.Endpoint, "endpoint", o.Hints.Endpoint}, {o.Name, "name", o.Hints.Name},
		{o.AccessKey, "access key", o.Hints.Keys}, {o.SecretKey, "secret key", o.Hints.Keys},
	} {
		if need.value == "" {
			return nil, hinted(fault.Usage("the bucket's %s is not set", need.name), need.hint)
		}
	}
	u, err := endpointOf(o.Endpoint, o.Name)
	if err != nil {
		return nil, err
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
	b := &Bucket{limits: usual, transport: transport}
	b.core, err = minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), Secure: u.Scheme == "https",
		Region: o.Region, Transport: b, MaxRetries: 1, // Trying again is done here.
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
	b.options = o
	return b, nil
}

// endpointOf reads an endpoint. Consoles show it with the bucket's name, before the host
// or as the path: that is left out, as requests have it anyway.
func endpointOf(text, name string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fault.Usage("the bucket's endpoint is not an http(s) URL")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || !slices.Contains([]string{"", name}, strings.Trim(u.Path, "/")) {
		return nil, fault.Usage("the bucket's endpoint must be only a host, such as https://s3.example.com")
	}
	if rest, named := strings.CutPrefix(u.Host, name+"."); named && strings.Contains(rest, ".") {
		u.Host = rest
	}
	return u, nil
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
		if err := b.sleep(ctx, pause); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		pause *= 2
	}
}

// sleep pauses, and longer where the store has asked for it.
func (b *Bucket) sleep(ctx context.Context, pause time.Duration) error {
	asked := time.Until(time.Unix(0, b.busy.Load()))
	pause = max(pause, min(asked, b.limits.busy))
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
