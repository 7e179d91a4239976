package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/s3test"
)

// s3 is a real S3 server.
var s3 *s3test.Server

func TestMain(m *testing.M) { os.Exit(suite(m)) }

func suite(m *testing.M) int {
	var err error
	if s3, err = s3test.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s3.Stop()
	return m.Run()
}

var hints = Hints{Keys: "see to the keys", Denied: "see to the grants", Name: "see to the name", Endpoint: "see to the endpoint"}

// open opens a new bucket of a server that behaves so, with parts and pauses that
// suit a test.
func open(t *testing.T, behaviour s3test.Behaviour) (*Bucket, *s3test.Proxy) {
	t.Helper()
	proxy := s3.Proxy(t, behaviour)
	return openAt(t, proxy.URL, s3.Bucket(t)), proxy
}

func openAt(t *testing.T, endpoint, name string) *Bucket {
	t.Helper()
	b, err := New(Options{
		Endpoint: endpoint, Region: "us-east-1", Name: name, AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey,
		Prefix: "some/prefix/", Backoff: time.Millisecond, Hints: hints,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.limits.part = 5 << 20 // S3's own least
	return b
}

// noise is so many bytes that do not compress, always the same.
func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	return data
}

func upload(t *testing.T, b *Bucket, name string, data []byte) error {
	t.Helper()
	u := b.Upload(t.Context(), name, int64(len(data)))
	if _, err := io.Copy(struct{ io.Writer }{u}, bytes.NewReader(data)); err != nil {
		return errors.Join(err, u.Abort())
	}
	if err := u.Complete(); err != nil {
		return errors.Join(err, u.Abort())
	}
	return nil
}

func names(t *testing.T, b *Bucket, o ListOptions) []string {
	t.Helper()
	list := []string{}
	for object, err := range b.List(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, object.Name)
	}
	return list
}

func wantBytes(t *testing.T, b *Bucket, name string, want []byte) {
	t.Helper()
	body, err := b.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
		t.Errorf("%s has %d bytes, want %d, or others (%v)", name, len(got), len(want), err)
	}
}

// conform is what every bucket has to do, however its server behaves.
func conform(t *testing.T, b *Bucket) {
	ctx := t.Context()
	if there, err := b.Exists(ctx); err != nil || !there {
		t.Errorf("the bucket is there: %t, %v", there, err)
	}
	small, large := []byte("small"), noise(13<<20)
	for name, data := range map[string][]byte{"small": small, "empty": nil, "a name, with ümläuts + %2F": small, "folder/inner": small} {
		if err := b.Put(ctx, name, data); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, b, name, data)
	}
	if err := b.Put(ctx, "small", []byte("replaced")); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, b, "small", []byte("replaced"))
	for name, data := range map[string][]byte{"large": large, "one part": large[:5<<20], "part of one": small, "nothing": nil} {
		if err := upload(t, b, name, data); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, b, name, data)
		if o, err := b.Stat(ctx, name); err != nil || o.Size != int64(len(data)) || o.Name != name {
			t.Errorf("%s is %+v, %v", name, o, err)
		}
	}
	want := []string{"a name, with ümläuts + %2F", "empty", "large", "nothing", "one part", "part of one", "small"}
	if got := names(t, b, ListOptions{}); !slices.Equal(got, want) {
		t.Errorf("listed are %q, want %q", got, want)
	}
	if got := names(t, b, ListOptions{Recursive: true, Below: "fold"}); !slices.Equal(got, []string{"folder/inner"}) {
		t.Errorf("below fold are %q", got)
	}
	if got := names(t, b, ListOptions{After: "one part"}); !slices.Equal(got, []string{"part of one", "small"}) {
		t.Errorf("after one part are %q", got)
	}
	if _, err := b.Get(ctx, "none", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is not there gives %v", err)
	}
	if data, err := b.Get(ctx, "small", 4); err != nil || string(data) != "repla" {
		t.Errorf("at most 4 bytes are %q, %v", data, err)
	}
	for _, name := range append(want, "folder/inner", "none") {
		if err := b.Delete(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, b, ListOptions{Recursive: true}); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
	u := b.Upload(ctx, "given up", 0)
	if _, err := u.Write(large); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := b.AbortUploads(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if got := names(t, b, ListOptions{Recursive: true}); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
}

// busy refuses the first requests of every kind.
func busy(times, status int, code string) map[s3test.Kind]s3test.Refusal {
	all := map[s3test.Kind]s3test.Refusal{}
	for _, kind := range []s3test.Kind{s3test.Get, s3test.Head, s3test.Put, s3test.Delete, s3test.List, s3test.ListUploads, s3test.Create, s3test.Part, s3test.Complete} {
		all[kind] = s3test.Refusal{Times: times, Status: status, Code: code}
	}
	return all
}

const html = "<html>\r\n<head><title>Oh no</title></head>\r\n<body>nginx</body></html>"

func TestConformance(t *testing.T) {
	for name, behaviour := range map[string]s3test.Behaviour{
		"as it should be":          {},
		"object lock":              {ObjectLock: true},
		"R2's equal parts":         {EqualParts: true},
		"downloads cut once":       {CutOver: 1000, CutAt: 0.5, CutTimes: 1},
		"downloads cut often":      {CutOver: 1000, CutAt: 0.3, CutTimes: 12},
		"cut before the first":     {CutOver: 1000, CutAt: 0, CutTimes: 3},
		"cut, without ranges":      {CutOver: 1000, CutAt: 0.5, CutTimes: 2, NoRanges: true},
		"slow down":                {Refuse: busy(3, 503, "SlowDown")},
		"slow down by 429":         {Refuse: busy(3, 429, "TooManyRequests")},
		"internal errors":          {Refuse: busy(2, 500, "InternalError")},
		"no listing of uploads":    {Refuse: map[s3test.Kind]s3test.Refusal{s3test.ListUploads: {Times: s3test.Always, Status: 501, Code: "NotImplemented"}}},
		"late answer to Complete":  {Delay: map[s3test.Kind]time.Duration{s3test.Complete: 300 * time.Millisecond}},
		"lost answers":             {LoseAnswer: map[s3test.Kind]int{s3test.Put: 2, s3test.Create: 1, s3test.Part: 2, s3test.Complete: 1, s3test.Delete: 2, s3test.Head: 1, s3test.List: 1, s3test.Get: 1}},
		"no version 2 of listing":  {OldListing: true},
		"no ETags":                 {Hide: map[s3test.Kind]string{s3test.Get: "Etag"}, CutOver: 1000, CutAt: 0.5, CutTimes: 2},
		"a proxy's ETags":          {WeakETags: true, CutOver: 1000, CutAt: 0.5, CutTimes: 2},
		"sizes that HEAD hides":    {Hide: map[s3test.Kind]string{s3test.Head: "Content-Length"}},
		"wants to be left alone":   {Refuse: map[s3test.Kind]s3test.Refusal{s3test.Put: {Times: 1, Status: 429, Code: "TooManyRequests", RetryAfter: "1"}}},
		"spoilt on the way":        {Refuse: map[s3test.Kind]s3test.Refusal{s3test.Put: {Times: 2, Status: 400, Code: "BadDigest"}, s3test.Part: {Times: 2, Status: 400, Code: "BadDigest"}}},
		"cut off on the way":       {Refuse: map[s3test.Kind]s3test.Refusal{s3test.Put: {Times: 2, Status: 400, Code: "IncompleteBody"}, s3test.Part: {Times: 2, Status: 400, Code: "IncompleteBody"}}},
		"writes that collide":      {Refuse: map[s3test.Kind]s3test.Refusal{s3test.Put: {Times: 2, Status: 409, Code: "OperationAborted"}, s3test.Part: {Times: 2, Status: 409, Code: "OperationAborted"}}},
		"no uploads to list":       {Refuse: map[s3test.Kind]s3test.Refusal{s3test.ListUploads: {Times: s3test.Always, Status: 405, Code: "MethodNotAllowed"}}},
		"errors of success":        {Say: map[s3test.Kind]s3test.Saying{s3test.Complete: {Times: 2, Status: 200, Body: "<?xml version=\"1.0\"?>\n  <Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"}}},
		"empty answers of success": {Say: map[s3test.Kind]s3test.Saying{s3test.Complete: {Times: 2, Status: 200}, s3test.List: {Times: 2, Status: 200}, s3test.Create: {Times: 2, Status: 200}}},
		"a listing that is cut":    {Say: map[s3test.Kind]s3test.Saying{s3test.List: {Times: 2, Status: 200, Body: "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>some/pre"}}},
		"pages of a proxy":         {Say: map[s3test.Kind]s3test.Saying{s3test.Put: {Times: 2, Status: 502, Body: html}, s3test.Get: {Times: 1, Status: 504, Body: html}, s3test.Part: {Times: 1, Status: 500, Body: html}}},
		"answers to Complete lost": {LoseAnswer: map[s3test.Kind]int{s3test.Complete: s3test.Always}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := open(t, behaviour)
			conform(t, b)
		})
	}
}

// An answer to Complete that comes after all patience: the object is looked for.
func TestCompleteIsLookedFor(t *testing.T) {
	b, proxy := open(t, s3test.Behaviour{Delay: map[s3test.Kind]time.Duration{s3test.Complete: time.Second}})
	b.limits.answer, b.limits.complete = 500*time.Millisecond, 0
	data := noise(6 << 20)
	if err := upload(t, b, "large", data); err != nil {
		t.Fatal(err)
	}
	if proxy.Seen(s3test.Complete) != 1 {
		t.Errorf("it was completed %d times", proxy.Seen(s3test.Complete))
	}
	wantBytes(t, b, "large", data)
}

// What a bucket refuses is not tried again, and says what to do.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		refuse s3test.Refusal
		want   error
		hint   string
	}{
		"denied":          {s3test.Refusal{Status: 403, Code: "AccessDenied"}, ErrDenied, hints.Denied},
		"unknown key":     {s3test.Refusal{Status: 403, Code: "InvalidAccessKeyId"}, ErrKeys, hints.Keys},
		"not implemented": {s3test.Refusal{Status: 501, Code: "NotImplemented"}, ErrUnsupported, ""},
		"full":            {s3test.Refusal{Status: 507, Code: "QuotaExceeded"}, ErrFull, "make room"},
		"full, by 403":    {s3test.Refusal{Status: 403, Code: "QuotaExceeded"}, ErrFull, "make room"},
		"full, without":   {s3test.Refusal{Status: 507, Code: "Whatever"}, ErrFull, "make room"},
		"skewed clock":    {s3test.Refusal{Status: 403, Code: "RequestTimeTooSkewed"}, ErrClock, "clock"},
		"elsewhere":       {s3test.Refusal{Status: 301, Code: "PermanentRedirect"}, nil, hints.Endpoint},
		"expired key":     {s3test.Refusal{Status: 400, Code: "ExpiredToken"}, ErrKeys, hints.Keys},
		"unauthorized":    {s3test.Refusal{Status: 401, Code: "Unauthorized"}, ErrKeys, hints.Keys},
		"by 401 alone":    {s3test.Refusal{Status: 401, Code: "Whatever"}, ErrKeys, hints.Keys},
		"forbidden":       {s3test.Refusal{Status: 403, Code: "Forbidden"}, ErrDenied, hints.Denied},
		"archived":        {s3test.Refusal{Status: 403, Code: "InvalidObjectState"}, ErrArchived, "lifecycle"},
		"another region":  {s3test.Refusal{Status: 400, Code: "AuthorizationHeaderMalformed", Region: "eu-west-3"}, nil, "region to eu-west-3"},
		"moved region":    {s3test.Refusal{Status: 301, Code: "PermanentRedirect", Region: "eu-west-3"}, nil, "region to eu-west-3"},
		"no bucket":       {s3test.Refusal{Status: 404, Code: "NoSuchBucket"}, ErrNoBucket, hints.Name},
	} {
		t.Run(name, func(t *testing.T) {
			refuse := busy(s3test.Always, test.refuse.Status, test.refuse.Code)
			for kind, refusal := range refuse {
				refusal.Region = test.refuse.Region
				refuse[kind] = refusal
			}
			b, proxy := open(t, s3test.Behaviour{Refuse: refuse})
			check := func(what string, err error) {
				t.Helper()
				if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(fault.Hint(err), test.hint) {
					t.Errorf("%s gives %v, hint %q", what, err, fault.Hint(err))
				}
			}
			check("a PUT", b.Put(t.Context(), "x", []byte("x")))
			_, err := b.Open(t.Context(), "x")
			check("a GET", err)
			check("an upload", upload(t, b, "large", noise(6<<20)))
			for _, err := range b.List(t.Context(), ListOptions{}) {
				check("a listing", err)
			}
			for _, kind := range []s3test.Kind{s3test.Put, s3test.Get, s3test.Create, s3test.List} {
				if seen := proxy.Seen(kind); seen != 1 && (seen != 2 || kind != s3test.List || test.want != ErrUnsupported) { // by both versions
					t.Errorf("%s was tried %d times", kind, seen)
				}
			}
		})
	}
}

// What a store finds only after a while is not taken for lost.
func TestFoundAfterAWhile(t *testing.T) {
	b, _ := open(t, s3test.Behaviour{Refuse: map[s3test.Kind]s3test.Refusal{s3test.Head: {Times: 3, Status: 404, Code: "NoSuchKey"}}})
	if err := upload(t, b, "x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, b, "x", []byte("x"))
}

// What is no S3 gives one line and says where to look.
func TestWhatIsNotS3(t *testing.T) {
	say := func(status int, body string) map[s3test.Kind]s3test.Saying {
		all := map[s3test.Kind]s3test.Saying{}
		for kind := range busy(1, 1, "") {
			all[kind] = s3test.Saying{Times: s3test.Always, Status: status, Body: body}
		}
		return all
	}
	for name, test := range map[string]struct {
		status       int
		body         string
		put          bool // and not a listing
		says, advice string
	}{
		"a login page":            {200, html, false, "is not S3", hints.Endpoint},
		"nothing":                 {200, "", false, "is not S3", hints.Endpoint},
		"JSON":                    {200, `{"ok": true}`, false, "is not S3", hints.Endpoint},
		"bodies that are too big": {413, html, true, "413 Request Entity Too Large", "client_max_body_size"},
		"a gateway":               {502, html, true, "502 Bad Gateway", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := open(t, s3test.Behaviour{Say: say(test.status, test.body)})
			err := b.Put(t.Context(), "x", []byte("x"))
			if !test.put {
				for _, err = range b.List(t.Context(), ListOptions{}) {
				}
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.ContainsAny(err.Error(), "\n<") && !errors.Is(err, ErrNotS3) || !strings.Contains(fault.Hint(err), test.advice) {
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
		})
	}
}

// An object that is replaced by one of another size is noticed without ETags, too.
func TestDownloadOfWhatIsReplacedWithoutETags(t *testing.T) {
	hide := s3test.Behaviour{Hide: map[s3test.Kind]string{s3test.Get: "Etag"}, CutOver: 1000, CutAt: 0.5, CutTimes: 1}
	b, _ := open(t, hide)
	if err := b.Put(t.Context(), "x", noise(1<<20)); err != nil {
		t.Fatal(err)
	}
	body, err := b.Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, 1000); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "x", noise(3<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
}

// A part that is refused ends the upload, and leaves nothing.
func TestUploadThatFails(t *testing.T) {
	b, _ := open(t, s3test.Behaviour{Refuse: map[s3test.Kind]s3test.Refusal{s3test.Part: {Times: s3test.Always, Status: 507, Code: "QuotaExceeded"}}})
	err := upload(t, b, "large", noise(30<<20))
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "part") {
		t.Errorf("got %v", err)
	}
	if left, err := b.AbortUploads(t.Context(), time.Now().Add(time.Hour)); left != 0 || err != nil {
		t.Errorf("%d uploads are left, %v", left, err)
	}
	if got := names(t, b, ListOptions{Recursive: true}); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
}

func TestDownloadThatNeverEnds(t *testing.T) {
	b, proxy := open(t, s3test.Behaviour{})
	if err := b.Put(t.Context(), "x", noise(1<<20)); err != nil {
		t.Fatal(err)
	}
	// Cut at its beginning each time, it never gets on.
	proxy.Behave(s3test.Behaviour{CutOver: 1000, CutAt: 0, CutTimes: s3test.Always})
	body, err := b.Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err == nil || !strings.Contains(err.Error(), "get x, after 0 bytes") {
		t.Errorf("got %v", err)
	}
	if seen := proxy.Seen(s3test.Get); seen != 6 {
		t.Errorf("it was tried %d times", seen)
	}
}

// An object that is replaced while it is read is not put together of both.
func TestDownloadOfWhatIsReplaced(t *testing.T) {
	b, proxy := open(t, s3test.Behaviour{})
	if err := b.Put(t.Context(), "x", noise(1<<20)); err != nil {
		t.Fatal(err)
	}
	proxy.Behave(s3test.Behaviour{CutOver: 1000, CutAt: 0.5, CutTimes: 1})
	body, err := b.Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, 1000); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "x", noise(2 << 20)[1<<20:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	b := openAt(t, "http://127.0.0.1:1", "any")
	if err := b.Put(t.Context(), "x", nil); !errors.Is(err, ErrUnreachable) || fault.Hint(err) != hints.Endpoint {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, "x", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNew(t *testing.T) {
	good := Options{Endpoint: "example.com", Name: "n", AccessKey: "a", SecretKey: "hidden", Hints: hints}
	for want, change := range map[string]func(*Options){
		"endpoint is not set":   func(o *Options) { o.Endpoint = "" },
		"not an http(s) URL":    func(o *Options) { o.Endpoint = "ftp://x" },
		"secret key is not set": func(o *Options) { o.SecretKey = "" },
		"name is not set":       func(o *Options) { o.Name = "" },
		"holds no certificate":  func(o *Options) { o.CA = []byte("none") },
		`a part ".."`:           func(o *Options) { o.Prefix = "a/../b/" },
		"must be only a host":   func(o *Options) { o.Endpoint = "https://example.com/gateway" },
		"be only a host, such":  func(o *Options) { o.Endpoint = "https://a:hidden@example.com" },
	} {
		o := good
		change(&o)
		if _, err := New(o); !fault.IsUsage(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// As consoles show endpoints, and files end.
	good.AccessKey, good.SecretKey = " a\r\n", "hidden\n"
	for endpoint, host := range map[string]string{
		"example.com": "https://example.com", "https://example.com/": "https://example.com", "https://example.com/n": "https://example.com", "https://example.com/n/": "https://example.com",
		"n.fra1.example.com": "https://fra1.example.com", "http://n.example.com:90\n": "http://example.com:90", "n.example": "https://n.example", "http://127.0.0.1:9000": "http://127.0.0.1:9000",
	} {
		good.Endpoint = endpoint
		if b, err := New(good); err != nil || b.core.EndpointURL().String() != host || b.options.SecretKey != "hidden" {
			t.Errorf("%s: %v, %v", endpoint, b, err)
		}
	}
}

func TestCleanPrefix(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "/": "", "x": "x", "x/": "x/", "/x/": "x/", "a//b/": "a/b/", "//a///b": "a/b", "backups/shop-": "backups/shop-", "...x/": "...x/",
	} {
		if got, err := CleanPrefix(prefix); err != nil || got != want {
			t.Errorf("%q is %q, want %q (%v)", prefix, got, want, err)
		}
	}
}

// Every object up to S3's limit fits into its parts, with room for twice of what
// was expected; a laptop's memory holds two of them.
func TestPartSize(t *testing.T) {
	for _, expected := range []int64{-1, 0, 1, 8 << 20, 40 << 30, 41 << 30, 1 << 40, Largest, 2 * Largest} {
		size := PartSize(expected)
		room := min(2*max(expected, 0), Largest)
		if size*maxParts < room || size > 600<<20 || size < 8<<20 {
			t.Errorf("%d bytes are sent in parts of %d", expected, size)
		}
	}
	if got := PartSize(30 << 30); got != 8<<20 {
		t.Errorf("30 GiB are sent in parts of %d", got)
	}
}
