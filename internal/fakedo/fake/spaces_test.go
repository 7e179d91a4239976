package fake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/signer"

	"berth/internal/fakedo/fake"
	"berth/internal/s3test"
)

// s3 is the real S3 server behind Spaces.
var s3 *s3test.Server

func TestMain(m *testing.M) {
	var err error
	if s3, err = s3test.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := s3.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func startSpaces(t *testing.T) *fake.Server {
	return fake.Start(t, fake.Options{S3: "http://" + s3.Address, S3AccessKey: s3test.AccessKey, S3SecretKey: s3test.SecretKey})
}

func spacesClient(t *testing.T, server *fake.Server, access, secret string) *minio.Client {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(server.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(access, secret, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCode fails the test unless err is S3's error of this code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if got := minio.ToErrorResponse(err).Code; got != code {
		t.Errorf("the error is %v, of code %q and not %s", err, got, code)
	}
}

func TestKeysOfTheAPIOpenSpaces(t *testing.T) {
	server := startSpaces(t)
	ctx := t.Context()
	access, secret := server.NewSpacesKey("first")
	full := spacesClient(t, server, access, secret)
	for _, name := range []string{"keys-mine", "keys-other"} {
		if err := full.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	api := client(t, server.URL, "token")
	key := must[*godo.SpacesKey](t)(api.SpacesKeys.Create(ctx, &godo.SpacesKeyCreateRequest{Name: "cluster", Grants: []*godo.Grant{{Bucket: "keys-mine", Permission: godo.SpacesKeyReadWrite}}}))
	for _, listed := range must[[]*godo.SpacesKey](t)(api.SpacesKeys.List(ctx, nil)) {
		if listed.SecretKey != "" {
			t.Error("a list of keys tells a secret")
		}
	}
	limited := spacesClient(t, server, key.AccessKey, key.SecretKey)

	// Bodies small and in several parts, names that want escaping, and metadata.
	for name, size := range map[string]int{"small/ä b+c=d&e.txt": 100, "empty": 0, "large.bin": 12 << 20} {
		content := bytes.Repeat([]byte("0123456789"), size/10)
		if _, err := limited.PutObject(ctx, "keys-mine", name, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{PartSize: 5 << 20, UserMetadata: map[string]string{"origin": "test"}}); err != nil {
			t.Fatalf("put %s: %v", name, err)
		}
		object, err := limited.GetObject(ctx, "keys-mine", name, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(object)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s comes back as %d bytes, %v", name, len(got), err)
		}
		info, err := object.Stat()
		if err != nil || info.UserMetadata["Origin"] != "test" {
			t.Errorf("%s has the metadata %v, %v", name, info.UserMetadata, err)
		}
	}
	count := 0
	for object := range limited.ListObjects(ctx, "keys-mine", minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			t.Fatal(object.Err)
		}
		count++
	}
	if count != 3 {
		t.Errorf("the list has %d objects", count)
	}
	if err := limited.RemoveObject(ctx, "keys-mine", "empty", minio.RemoveObjectOptions{}); err != nil {
		t.Error(err)
	}

	// What the key is not for.
	_, err := limited.PutObject(ctx, "keys-other", "x", strings.NewReader("x"), 1, minio.PutObjectOptions{})
	wantCode(t, err, "AccessDenied")
	wantCode(t, limited.RemoveBucket(ctx, "keys-mine"), "AccessDenied")
	wantCode(t, limited.MakeBucket(ctx, "keys-third", minio.MakeBucketOptions{}), "AccessDenied")
	_, err = limited.ListBuckets(ctx)
	wantCode(t, err, "AccessDenied")
	wantCode(t, limited.EnableVersioning(ctx, "keys-mine"), "AccessDenied")

	// Keys that read, are wrong, unknown or deleted.
	if _, _, err := api.SpacesKeys.Update(ctx, key.AccessKey, &godo.SpacesKeyUpdateRequest{Name: "cluster", Grants: []*godo.Grant{{Bucket: "keys-mine", Permission: godo.SpacesKeyRead}}}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, limited.RemoveObject(ctx, "keys-mine", "large.bin", minio.RemoveObjectOptions{}), "AccessDenied")
	if _, err := limited.StatObject(ctx, "keys-mine", "large.bin", minio.StatObjectOptions{}); err != nil {
		t.Error(err)
	}
	_, err = spacesClient(t, server, key.AccessKey, "wrong").GetBucketVersioning(ctx, "keys-mine")
	wantCode(t, err, "SignatureDoesNotMatch")
	if _, err := api.SpacesKeys.Delete(ctx, key.AccessKey); err != nil {
		t.Fatal(err)
	}
	_, err = limited.GetBucketVersioning(ctx, "keys-mine")
	wantCode(t, err, "InvalidAccessKeyId")

	answer, err := http.Get(server.URL + "/keys-mine/large.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("without a key the answer is %d", answer.StatusCode)
	}
}

func TestBucketSettings(t *testing.T) {
	server := startSpaces(t)
	ctx := t.Context()
	access, secret := server.NewSpacesKey("first")
	spaces := spacesClient(t, server, access, secret)
	const bucket = "settings"
	if err := spaces.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := spaces.GetBucketLifecycle(ctx, bucket)
	wantCode(t, err, "NoSuchLifecycleConfiguration")
	rules := lifecycle.NewConfiguration()
	rules.Rules = []lifecycle.Rule{{ID: "logs", Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: "logs/"}, Expiration: lifecycle.Expiration{Days: 90}}}
	if err := spaces.SetBucketLifecycle(ctx, bucket, rules); err != nil {
		t.Fatal(err)
	}
	if got, err := spaces.GetBucketLifecycle(ctx, bucket); err != nil || len(got.Rules) != 1 || got.Rules[0].Expiration.Days != 90 {
		t.Errorf("the rules are %+v, %v", got, err)
	}
	if err := spaces.EnableVersioning(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	if got, err := spaces.GetBucketVersioning(ctx, bucket); err != nil || !got.Enabled() {
		t.Errorf("the versioning is %+v, %v", got, err)
	}
	if err := spaces.RemoveBucket(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	account, err := server.Account()
	if err != nil || len(account.Buckets) != 0 {
		t.Errorf("the buckets are %v, %v", account.Buckets, err)
	}
}

// Other clients put the bucket, and DigitalOcean's the region as well, into the
// host's name.
func TestBucketInTheHost(t *testing.T) {
	server := startSpaces(t)
	ctx := t.Context()
	access, secret := server.NewSpacesKey("first")
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(server.URL, "http://"))
	}
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	spaces, err := minio.New("fra1.localhost", &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupDNS, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := spaces.MakeBucket(ctx, "in-the-host", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := spaces.PutObject(ctx, "in-the-host", "a/b", strings.NewReader("content"), 7, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if info, err := spaces.StatObject(ctx, "in-the-host", "a/b", minio.StatObjectOptions{}); err != nil || info.Size != 7 {
		t.Errorf("the object is %+v, %v", info, err)
	}
	account, err := server.Account()
	if err != nil || len(account.Buckets) != 1 || account.Buckets[0].Region != "fra1" {
		t.Errorf("the buckets are %+v, %v", account.Buckets, err)
	}
}

// Terraform's plugin sets the list of every bucket that it makes.
func TestAccessControlLists(t *testing.T) {
	server := startSpaces(t)
	access, secret := server.NewSpacesKey("first")
	if err := spacesClient(t, server, access, secret).MakeBucket(t.Context(), "acl-mine", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	ask := func(method, acl string) (status int, body string) {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/acl-mine?acl=", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		if acl != "" {
			request.Header.Set("X-Amz-Acl", acl)
		}
		answer, err := http.DefaultClient.Do(signer.SignV4(*request, access, secret, "", "us-east-1"))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	for _, c := range []struct {
		acl    string
		status int
		public bool
	}{{"private", 200, false}, {"public-read", 200, true}, {"bucket-owner-read", 400, true}, {"private", 200, false}} {
		if status, body := ask(http.MethodPut, c.acl); status != c.status {
			t.Errorf("%s is answered %d %s, not %d", c.acl, status, body, c.status)
		}
		if status, body := ask(http.MethodGet, ""); status != http.StatusOK || strings.Contains(body, "AllUsers") != c.public || !strings.Contains(body, "FULL_CONTROL") {
			t.Errorf("after %s the list is %d %s", c.acl, status, body)
		}
	}
}

// A client may go while its bucket is being made, as Terraform does when it is
// interrupted.
func TestABucketIsMadeAlthoughTheClientGoes(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	target := &url.URL{Scheme: "http", Host: s3.Address}
	behind := httputil.NewSingleHostReverseProxy(target)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			leave()
			<-left
		}
		behind.ServeHTTP(w, r)
	}))
	defer slow.Close()
	server := fake.Start(t, fake.Options{S3: slow.URL, S3AccessKey: s3test.AccessKey, S3SecretKey: s3test.SecretKey})
	access, secret := server.NewSpacesKey("first")
	spaces := spacesClient(t, server, access, secret)
	if err := spaces.MakeBucket(ctx, "gone-client", minio.MakeBucketOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the client went, with %v", err)
	}
	close(left)
	var err error
	for range 1000 { // until the request that nobody waits for has ended
		if _, err = spaces.GetBucketVersioning(t.Context(), "gone-client"); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("the bucket's settings: %v", err)
	}
	if exists, err := spaces.BucketExists(t.Context(), "gone-client"); err != nil || !exists {
		t.Errorf("the bucket exists: %t, %v", exists, err)
	}
}
