package fake

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// Bucket is a Space with its settings that the S3 server behind need not know.
type Bucket struct {
	Name    string    `json:"name"`
	Region  string    `json:"region,omitempty"`
	Created time.Time `json:"created"`
	// Versioning is Enabled, Suspended, or empty where it never was on.
	Versioning string `json:"versioning,omitempty"`
	// ACL is the canned access control list; empty is private.
	ACL string `json:"acl,omitempty"`
	// Lifecycle is the document that a client put there.
	Lifecycle string `json:"lifecycle,omitempty"`
}

// NewSpacesKey makes a key, as the control panel does; without grants it is one
// with full access to all Spaces. A state file has it from the next change on.
func (f *Fake) NewSpacesKey(name string, grants ...*godo.Grant) (accessKey, secretKey string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(grants) == 0 {
		grants = []*godo.Grant{{Permission: godo.SpacesKeyFullAccess}}
	}
	key := &godo.SpacesKey{
		Name: name, Grants: grants, CreatedAt: f.options.Now().UTC().Format(time.RFC3339),
		AccessKey: "DO" + strings.ToUpper(newSecret(9)), SecretKey: newSecret(21),
	}
	f.account.SpacesKeys = append(f.account.SpacesKeys, key)
	return key.AccessKey, key.SecretKey
}

// s3Request is what a request to Spaces is about.
type s3Request struct {
	*http.Request
	bucket, key, region string
	query               url.Values
}

// parseS3 finds the bucket in the path or, as "bucket.localhost" or
// "bucket.fra1.localhost", in the host.
func parseS3(r *http.Request) s3Request {
	s := s3Request{Request: r, query: r.URL.Query()}
	path := strings.TrimPrefix(r.URL.Path, "/")
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if labels, ok := strings.CutSuffix(host, ".localhost"); ok {
		parts := strings.Split(labels, ".")
		if last := parts[len(parts)-1]; knownRegion(last) {
			s.region, parts = last, parts[:len(parts)-1]
		}
		if len(parts) > 0 {
			s.bucket, s.key = strings.Join(parts, "."), path
			return s
		}
	}
	s.bucket, s.key, _ = strings.Cut(path, "/")
	return s
}

// has reports whether a request is for one of a bucket's settings.
func (s s3Request) has(setting string) bool { return s.key == "" && s.query.Has(setting) }

// ofBucket reports whether a request is for a bucket itself: it makes, removes or
// looks for one.
func (s s3Request) ofBucket() bool { return s.bucket != "" && s.key == "" && len(s.query) == 0 }

// serveSpaces lets a request through to the S3 server, once its key is known,
// its signature right and its grants enough.
func (f *Fake) serveSpaces(w http.ResponseWriter, r *http.Request) {
	s := parseS3(r)
	if f.options.S3 == "" {
		writeS3Error(w, &s3Error{http.StatusServiceUnavailable, "ServiceUnavailable", "the fake was started without an S3 server"})
		return
	}
	if err := f.authorize(s); err != nil {
		writeS3Error(w, err)
		return
	}
	if s.bucket != "" && (s.has("lifecycle") || s.has("versioning") || s.has("location") || s.has("acl")) {
		if err := f.serveBucketSettings(w, s); err != nil {
			writeS3Error(w, err)
		}
		return
	}
	if err := f.forward(w, s); err != nil {
		writeS3Error(w, err)
	}
}

// noteBucket keeps the list of Spaces up to date with what the S3 server did.
func (f *Fake) noteBucket(s s3Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch s.Method {
	case http.MethodPut:
		if slices.ContainsFunc(f.account.Buckets, func(b *Bucket) bool { return b.Name == s.bucket }) {
			return nil
		}
		f.account.Buckets = append(f.account.Buckets, &Bucket{Name: s.bucket, Region: s.region, Created: f.options.Now().UTC()})
		f.assignToDefault("do:space:" + s.bucket)
	case http.MethodDelete:
		f.account.Buckets = slices.DeleteFunc(f.account.Buckets, func(b *Bucket) bool { return b.Name == s.bucket })
		f.unassign("do:space:" + s.bucket)
	default:
		return nil
	}
	return f.account.save(f.options.StateFile)
}

// authorize checks a request's key, signature and grants.
func (f *Fake) authorize(s s3Request) *s3Error {
	signature, err := parseSignature(s.Request)
	if err != nil {
		return &s3Error{http.StatusForbidden, "AccessDenied", err.Error()}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key, notFound := find(f.account.SpacesKeys, func(k *godo.SpacesKey) bool { return k.AccessKey == signature.accessKey })
	if notFound != nil {
		return &s3Error{http.StatusForbidden, "InvalidAccessKeyId", "the access key is unknown"}
	}
	if !signature.verify(s.Request, key.SecretKey) {
		return &s3Error{http.StatusForbidden, "SignatureDoesNotMatch", "the signature does not match"}
	}
	if !granted(key, s) {
		return &s3Error{http.StatusForbidden, "AccessDenied", "the key has no grant for this"}
	}
	return nil
}

// granted reports whether a key's grants suffice: reading for read, writing and
// deleting objects for readwrite, and making, deleting and setting up buckets for
// fullaccess alone.
func granted(key *godo.SpacesKey, s s3Request) bool {
	reads := s.Method == http.MethodGet || s.Method == http.MethodHead
	// A POST to a bucket deletes objects.
	administers := s.key == "" && !reads && s.Method != http.MethodPost
	for _, grant := range key.Grants {
		switch {
		case grant.Permission == godo.SpacesKeyFullAccess:
			return true
		case grant.Bucket != s.bucket || s.bucket == "":
		case grant.Permission == godo.SpacesKeyReadWrite && !administers, reads:
			return true
		}
	}
	return false
}

// serveBucketSettings answers for what the S3 server behind may not support.
func (f *Fake) serveBucketSettings(w http.ResponseWriter, s s3Request) *s3Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	bucket, err := find(f.account.Buckets, func(b *Bucket) bool { return b.Name == s.bucket })
	if err != nil {
		return &s3Error{http.StatusNotFound, "NoSuchBucket", "the bucket does not exist"}
	}
	if s.Method == http.MethodPut || s.Method == http.MethodDelete {
		if err := bucket.set(s); err != nil {
			return &s3Error{http.StatusBadRequest, "MalformedXML", err.Error()}
		}
		if err := f.account.save(f.options.StateFile); err != nil {
			return &s3Error{http.StatusInternalServerError, "InternalError", err.Error()}
		}
		if s.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
		}
		return nil
	}
	const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
	var document string
	switch {
	case s.has("location"):
		document = fmt.Sprintf("<LocationConstraint xmlns=%q>%s</LocationConstraint>", namespace, bucket.Region)
	case s.has("versioning"):
		status := ""
		if bucket.Versioning != "" {
			status = "<Status>" + bucket.Versioning + "</Status>"
		}
		document = fmt.Sprintf("<VersioningConfiguration xmlns=%q>%s</VersioningConfiguration>", namespace, status)
	case s.has("acl"):
		document = bucket.accessControl(namespace)
	case bucket.Lifecycle == "":
		return &s3Error{http.StatusNotFound, "NoSuchLifecycleConfiguration", "the bucket has no lifecycle configuration"}
	default:
		document = bucket.Lifecycle
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, document) // The client has gone otherwise.
	return nil
}

// set changes a bucket's versioning or its lifecycle rules.
func (b *Bucket) set(s s3Request) error {
	if s.Method == http.MethodDelete {
		b.Lifecycle = ""
		return nil
	}
	if s.has("acl") {
		acl := s.Header.Get("X-Amz-Acl")
		if acl != "private" && acl != "public-read" {
			return fmt.Errorf("the access control list cannot be %q", acl)
		}
		b.ACL = acl
		return nil
	}
	body, err := readPayload(s.Request)
	if err != nil {
		return err
	}
	if s.has("lifecycle") {
		b.Lifecycle = string(body)
		return nil
	}
	var document struct{ Status string }
	if err := xml.Unmarshal(body, &document); err != nil {
		return err
	}
	if document.Status != "Enabled" && document.Status != "Suspended" {
		return fmt.Errorf("versioning cannot be %q", document.Status)
	}
	b.Versioning = document.Status
	return nil
}

// accessControl is the document of a bucket's access control list.
func (b *Bucket) accessControl(namespace string) string {
	const owner = "<ID>1</ID><DisplayName>1</DisplayName>"
	grant := func(grantee, kind, permission string) string {
		return fmt.Sprintf("<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=%q>%s</Grantee><Permission>%s</Permission></Grant>",
			kind, grantee, permission)
	}
	grants := grant(owner, "CanonicalUser", "FULL_CONTROL")
	if b.ACL == "public-read" {
		grants += grant("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "Group", "READ")
	}
	return fmt.Sprintf("<AccessControlPolicy xmlns=%q><Owner>%s</Owner><AccessControlList>%s</AccessControlList></AccessControlPolicy>", namespace, owner, grants)
}

// spacesTransport passes answers on as they are.
var spacesTransport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}

// forward sends a request to the S3 server with that one's own keys.
func (f *Fake) forward(w http.ResponseWriter, s s3Request) *s3Error {
	target, err := url.Parse(f.options.S3)
	if err != nil {
		return &s3Error{http.StatusInternalServerError, "InternalError", err.Error()}
	}
	target.Path = "/" + s.bucket
	if s.key != "" {
		target.Path += "/" + s.key
	}
	target.RawQuery = s.URL.RawQuery
	ctx := s.Context()
	if s.ofBucket() {
		// What a client asked for happens although it has gone: the list of Spaces and
		// the S3 server tell the same of it.
		ctx = context.WithoutCancel(ctx)
	}
	out, err := http.NewRequestWithContext(ctx, s.Method, target.String(), s.Body)
	if err != nil {
		return &s3Error{http.StatusBadRequest, "InvalidRequest", err.Error()}
	}
	out.ContentLength = s.ContentLength
	out.Header = s.Header.Clone()
	for _, name := range []string{
		"Authorization", "Connection", "Content-Length", "Expect", "Host", "Te", "Transfer-Encoding", "X-Amz-Date", "X-Amz-Security-Token",
		// The S3 server knows no access control lists; all is private.
		"X-Amz-Acl",
	} {
		out.Header.Del(name)
	}
	payload, err := unchunk(out)
	if err != nil {
		return &s3Error{http.StatusBadRequest, "IncompleteBody", err.Error()}
	}
	defer payload.Close()
	if out.ContentLength == 0 {
		out.Body = http.NoBody
	}
	answer, err := spacesTransport.RoundTrip(signer.SignV4(*out, f.options.S3AccessKey, f.options.S3SecretKey, "", "us-east-1"))
	if err != nil {
		return &s3Error{http.StatusBadGateway, "ServiceUnavailable", err.Error()}
	}
	defer answer.Body.Close()
	if s.ofBucket() && answer.StatusCode/100 == 2 {
		if err := f.noteBucket(s); err != nil {
			return &s3Error{http.StatusInternalServerError, "InternalError", err.Error()}
		}
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // One of the two has gone; the client notices.
	return nil
}

// s3Error is an error in S3's own form.
type s3Error struct {
	status        int
	code, message string
}

func writeS3Error(w http.ResponseWriter, e *s3Error) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: e.code, Message: e.message}) // The client has gone otherwise.
}
