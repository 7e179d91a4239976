package s3test

import (
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// A Kind is what a request asks of a bucket.
type Kind string

// The kinds of requests that a [Proxy] tells apart.
const (
	Get, Head, Put, Delete Kind = "GET", "HEAD", "PUT", "DELETE"
	List, ListUploads      Kind = "LIST", "LISTUPLOADS"
	Create, Part, Complete Kind = "CREATE", "PART", "COMPLETE"
)

// Always is a number of times that does not end.
const Always = 1 << 30

// Behaviour is how a bucket misbehaves. The zero value is a good bucket.
type Behaviour struct {
	// Refuse has a number of requests of a kind refused, each with a status and code
	// of S3: {Delete: {Always, 403, "AccessDenied"}}.
	Refuse map[Kind]Refusal
	// ObjectLock refuses a body without Content-MD5 or a checksum.
	ObjectLock bool
	// EqualParts refuses to complete uploads whose parts differ in size, as R2 does.
	EqualParts bool
	// CutOver is the size of objects whose downloads are cut off, at the share CutAt,
	// for CutTimes times. 0 cuts none.
	CutOver  int64
	CutAt    float64
	CutTimes int
	// NoRanges sends all of an object, whatever part was asked for.
	NoRanges bool
	// Delay is how long an answer of a kind is kept back.
	Delay map[Kind]time.Duration
	// LoseAnswer is how many answers of a kind are lost once the request was served.
	LoseAnswer map[Kind]int
	// Say has a number of requests of a kind answered by something else than S3.
	Say map[Kind]Saying
	// OldListing lists as S3 did before version 2: without continuation tokens, two
	// names a page.
	OldListing bool
	// Hide are headers that answers of a kind do not have.
	Hide map[Kind]string
	// WeakETags gives downloads a proxy's ETags, W/"x", in place of the store's.
	WeakETags bool
}

// A Saying is an answer that the test words itself, and how often it is given.
type Saying struct {
	Times, Status int
	Body          string
}

// A Refusal is how a request is refused, and how often.
type Refusal struct {
	Times, Status int
	Code          string
	// Region is where the bucket is, as S3 says it; RetryAfter is that header.
	Region, RetryAfter string
}

// A Proxy stands before the S3 server and behaves as told.
type Proxy struct {
	// URL is the endpoint.
	URL string

	upstream  http.Handler
	client    *minio.Client
	mu        sync.Mutex
	behaviour Behaviour
	parts     map[string]map[string]int64
	seen      map[Kind]int
}

// Proxy starts one, for as long as the test runs.
func (s *Server) Proxy(t testing.TB, b Behaviour) *Proxy {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: s.Address}
	p := &Proxy{client: s.client, behaviour: b, parts: map[string]map[string]int64{}, seen: map[Kind]int{}}
	// The host is what the client signed.
	p.upstream = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorLog: log.New(io.Discard, "", 0), // of what the client or the test gives up
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Behave changes the behaviour.
func (p *Proxy) Behave(b Behaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaviour = b
}

// Seen is how many requests of a kind have come.
func (p *Proxy) Seen(k Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[k]
}

// judge decides on a request: what it is refused with, whether its answer is lost,
// kept back, or cut off.
func (p *Proxy) judge(r *http.Request, kind Kind) (refusal *Refusal, lost bool, delay time.Duration, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[kind]++
	b := &p.behaviour
	if refused := b.Refuse[kind]; refused.Times > 0 {
		refused.Times--
		b.Refuse[kind] = refused
		return &refused, false, 0, "as the test wants it"
	}
	checksum := slices.ContainsFunc(headerNames(r), func(name string) bool {
		return name == "Content-Md5" || strings.HasPrefix(name, "X-Amz-Checksum-")
	})
	if b.ObjectLock && (kind == Put || kind == Part) && !checksum {
		return &Refusal{Status: 400, Code: "InvalidRequest"}, false, 0, "Content-MD5 OR x-amz-checksum- HTTP header is required for requests with Object Lock parameters"
	}
	upload, number := r.URL.Query().Get("uploadId"), r.URL.Query().Get("partNumber")
	if kind == Part {
		if p.parts[upload] == nil {
			p.parts[upload] = map[string]int64{}
		}
		p.parts[upload][fmt.Sprintf("%6s", number)] = r.ContentLength
	}
	if b.EqualParts && kind == Complete && !even(p.parts[upload]) {
		return &Refusal{Status: 400, Code: "InvalidPart"}, false, 0, "All non-trailing parts must have the same length."
	}
	if b.LoseAnswer[kind] > 0 {
		b.LoseAnswer[kind]--
		lost = true
	}
	return nil, lost, b.Delay[kind], ""
}

func headerNames(r *http.Request) (names []string) {
	for name := range r.Header {
		names = append(names, name)
	}
	return names
}

// even reports whether all parts but the last have one size, and that no larger.
func even(parts map[string]int64) bool {
	var numbers []string
	for number := range parts {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for i, number := range numbers {
		size, first := parts[number], parts[numbers[0]]
		if size > first || size < first && i < len(numbers)-1 {
			return false
		}
	}
	return true
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := kindOf(r)
	refusal, lost, delay, message := p.judge(r, kind)
	w = &hiding{ResponseWriter: w, proxy: p, kind: kind}
	if said := p.says(kind); refusal == nil && said != nil {
		_, _ = io.Copy(io.Discard, r.Body) // The client may be gone.
		w.WriteHeader(said.Status)
		_, _ = io.WriteString(w, said.Body)
		return
	}
	switch {
	case refusal != nil:
		_, _ = io.Copy(io.Discard, r.Body) // The client may be gone.
		refuse(w, *refusal, message)
	case lost:
		p.upstream.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case delay > 0:
		kept := httptest.NewRecorder()
		p.upstream.ServeHTTP(kept, r.Clone(r.Context()))
		time.Sleep(delay)
		for name, values := range kept.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
	case kind == List && p.oldListing():
		p.listOld(w, r)
	case kind == Get && p.noRanges():
		p.whole(&cutting{ResponseWriter: w, proxy: p}, r)
	case kind == Get:
		p.upstream.ServeHTTP(&cutting{ResponseWriter: w, proxy: p}, r)
	default:
		p.upstream.ServeHTTP(w, r)
	}
}

func kindOf(r *http.Request) Kind {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && q.Has("uploads"):
		return ListUploads
	case r.Method == http.MethodGet && (q.Has("list-type") || q.Has("prefix")):
		return List
	case r.Method == http.MethodPost && q.Has("uploads"):
		return Create
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return Complete
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return Part
	}
	return Kind(r.Method)
}

// says takes one of the answers that the test has worded.
func (p *Proxy) says(kind Kind) *Saying {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.behaviour.Say[kind]
	if said.Times == 0 {
		return nil
	}
	said.Times--
	p.behaviour.Say[kind] = said
	return &said
}

func (p *Proxy) oldListing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behaviour.OldListing
}

// listOld lists by the first version of S3's listing, whichever was asked for.
func (p *Proxy) listOld(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	bucket := strings.Trim(r.URL.Path, "/")
	page, err := minio.Core{Client: p.client}.ListObjects(bucket, q.Get("prefix"), q.Get("marker"), q.Get("delimiter"), 2)
	if err != nil {
		refuse(w, Refusal{Status: 500, Code: "InternalError"}, err.Error())
		return
	}
	var b strings.Builder
	escape := func(text string) string {
		var escaped strings.Builder
		_ = xml.EscapeText(&escaped, []byte(text)) // a builder never fails
		return escaped.String()
	}
	fmt.Fprintf(&b, "<ListBucketResult><Name>%s</Name><MaxKeys>2</MaxKeys><IsTruncated>%t</IsTruncated>", bucket, page.IsTruncated)
	for _, o := range page.Contents {
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><LastModified>%s</LastModified><Size>%d</Size></Contents>", escape(o.Key), o.LastModified.Format("2006-01-02T15:04:05.000Z"), o.Size)
	}
	last := ""
	for _, f := range page.CommonPrefixes {
		fmt.Fprintf(&b, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", escape(f.Prefix))
		last = f.Prefix
	}
	if n := len(page.Contents); n > 0 {
		last = max(last, page.Contents[n-1].Key)
	}
	if page.IsTruncated && q.Get("delimiter") != "" { // Only then S3 says it.
		fmt.Fprintf(&b, "<NextMarker>%s</NextMarker>", escape(last))
	}
	b.WriteString("</ListBucketResult>")
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, b.String())
}

// hiding passes an answer on without some of its headers.
type hiding struct {
	http.ResponseWriter
	proxy *Proxy
	kind  Kind
}

func (h *hiding) WriteHeader(status int) {
	h.proxy.mu.Lock()
	if name := h.proxy.behaviour.Hide[h.kind]; name != "" {
		h.Header()[name] = nil // so that the server does not add it either
	}
	if tag := h.Header().Get("ETag"); tag != "" && h.kind == Get && h.proxy.behaviour.WeakETags {
		h.Header().Set("ETag", "W/"+tag)
	}
	h.proxy.mu.Unlock()
	h.ResponseWriter.WriteHeader(status)
}

func (h *hiding) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (p *Proxy) noRanges() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behaviour.NoRanges
}

// whole answers with all of an object, which the client has not signed for.
func (p *Proxy) whole(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, info, _, err := minio.Core{Client: p.client}.GetObject(r.Context(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		p.upstream.ServeHTTP(w, r)
		return
	}
	defer body.Close()
	w.Header().Set("ETag", strconv.Quote(info.ETag))
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size, 10))
	w.Header().Set("Last-Modified", info.LastModified.Format(http.TimeFormat))
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, body) // The client sees what comes.
}

func refuse(w http.ResponseWriter, r Refusal, message string) {
	body, _ := xml.Marshal(struct {
		XMLName                          xml.Name `xml:"Error"`
		Code, Message, RequestId, Region string
	}{Code: r.Code, Message: message, RequestId: "x", Region: r.Region}) // a struct of texts
	w.Header().Set("Content-Type", "application/xml")
	if r.RetryAfter != "" {
		w.Header().Set("Retry-After", r.RetryAfter)
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(body)
}

// cutting passes an object on and may cut it off.
type cutting struct {
	http.ResponseWriter
	proxy *Proxy
	left  int64 // until the cut; -1 for none
}

func (c *cutting) WriteHeader(status int) {
	c.left = -1
	var length int64
	_, _ = fmt.Sscan(c.Header().Get("Content-Length"), &length) // 0 without one
	c.proxy.mu.Lock()
	if b := &c.proxy.behaviour; b.CutOver > 0 && length > b.CutOver && b.CutTimes > 0 {
		b.CutTimes--
		c.left = int64(float64(length) * b.CutAt)
	}
	c.proxy.mu.Unlock()
	c.ResponseWriter.WriteHeader(status)
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left < 0 || int64(len(p)) <= c.left {
		if c.left > 0 {
			c.left -= int64(len(p))
		}
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
