package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/bcrypt"
)

// client speaks to a registry that serves a folder of the test's own.
type client struct {
	*testing.T
	gate *gate
	url  string
	root string
}

func start(t *testing.T) *client {
	t.Helper()
	folder := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(folder, "htpasswd")
	if err := os.WriteFile(users, fmt.Appendf(nil, "berth:%s\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(folder, "images")
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	gate, err := open(ctx, options{root: root, htpasswd: users, grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gate)
	t.Cleanup(server.Close)
	return &client{t, gate, server.URL, root}
}

// do sends a request and returns the answer, whose status must be want.
func (c *client) do(method, path, contentType, body string, want int) *http.Response {
	c.Helper()
	if !strings.HasPrefix(path, "http") {
		path = c.url + path
	}
	request, err := http.NewRequestWithContext(c.Context(), method, path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	request.SetBasicAuth("berth", "secret")
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "*/*, "+manifestType+", "+indexType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != want {
		c.Fatalf("%s %s is answered %s, want %d: %s", method, path, response.Status, want, text)
	}
	return response
}

func (c *client) pushBlob(repository, content string) (name string) {
	c.Helper()
	name = digest.FromString(content).String()
	begun := c.do("POST", "/v2/"+repository+"/blobs/uploads/", "", "", http.StatusAccepted)
	c.do("PUT", begun.Header.Get("Location")+"&digest="+name, "application/octet-stream", content, http.StatusCreated)
	return name
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

func manifest(t *testing.T, config, layer string) string {
	t.Helper()
	describe := func(kind, content string) map[string]any {
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": digest.FromString(content), "size": len(content)}
	}
	text, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": describe("config.v1+json", config), "layers": []any{describe("layer.v1.tar", layer)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// push pushes an image of one layer and returns its manifest's digest.
func (c *client) push(repository, tag, layer string) string {
	c.Helper()
	c.pushBlob(repository, "{}")
	c.pushBlob(repository, layer)
	return c.do("PUT", "/v2/"+repository+"/manifests/"+tag, manifestType, manifest(c.T, "{}", layer), http.StatusCreated).
		Header.Get("Docker-Content-Digest")
}

// later makes what clients have asked for so far be long ago.
func (c *client) later() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	for d := range c.gate.seen {
		c.gate.seen[d] = time.Now().Add(-2 * c.gate.grace)
	}
}

func (c *client) sweep() {
	c.Helper()
	if err := c.gate.sweepUnlessWriting(); err != nil {
		c.Fatal(err)
	}
}

// has reports whether a blob's content is on the disk.
func (c *client) has(name string) bool {
	hex := digest.Digest(name).Encoded()
	_, err := os.Stat(filepath.Join(c.root, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data"))
	return err == nil
}

func TestNobodyIsLetInWithoutThePassword(t *testing.T) {
	c := start(t)
	for _, password := range []string{"", "wrong"} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", c.url+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("berth", password)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("password %q is answered %s", password, response.Status)
		}
	}
	c.do("GET", "/v2/", "", "", http.StatusOK)
}

func TestSweepRemovesWhatADeletedImageAloneNeeded(t *testing.T) {
	c := start(t)
	c.push("app", "1", "kept")
	old := c.push("app", "2", "old")
	c.do("DELETE", "/v2/app/manifests/"+old, "", "", http.StatusAccepted)
	c.later()
	c.sweep()
	if c.has(old) || c.has(digest.FromString("old").String()) {
		t.Error("a deleted image is still on the disk")
	}
	if !c.has(digest.FromString("kept").String()) || !c.has(digest.FromString("{}").String()) {
		t.Error("another image lost what it needs")
	}
	c.do("GET", "/v2/app/manifests/1", "", "", http.StatusOK)
	c.do("GET", "/v2/app/blobs/"+digest.FromString("kept").String(), "", "", http.StatusOK)
}

// A builder asks for each layer, sends what is missing, and names them all at
// the end: a sweep may fall between any two of these steps.
func TestSweepSparesAPushUnderWay(t *testing.T) {
	c := start(t)
	old := c.push("app", "1", "layer")
	c.do("DELETE", "/v2/app/manifests/"+old, "", "", http.StatusAccepted)
	c.later()
	layer := digest.FromString("layer").String()
	c.do("HEAD", "/v2/app/blobs/"+layer, "", "", http.StatusOK) // "it is there already"
	c.sweep()
	c.pushBlob("app", "{}")
	c.sweep()
	c.do("PUT", "/v2/app/manifests/2", manifestType, manifest(t, "{}", "layer"), http.StatusCreated)
	c.later()
	c.sweep()
	c.do("GET", "/v2/app/blobs/"+layer, "", "", http.StatusOK)
}

// A node that has the layers already asks for the manifest alone.
func TestSweepSparesTheLayersOfAnImageThatWasAskedFor(t *testing.T) {
	c := start(t)
	c.push("app", "1", "layer")
	c.later()
	c.do("GET", "/v2/app/manifests/1", "", "", http.StatusOK)
	c.sweep()
	c.do("GET", "/v2/app/blobs/"+digest.FromString("layer").String(), "", "", http.StatusOK)
}

// Images for several platforms are manifests without tags, which one with a
// tag names.
func TestSweepFollowsAnIndex(t *testing.T) {
	c := start(t)
	inner := manifest(t, "{}", "layer")
	c.pushBlob("app", "{}")
	c.pushBlob("app", "layer")
	name := digest.FromString(inner).String()
	c.do("PUT", "/v2/app/manifests/"+name, manifestType, inner, http.StatusCreated)
	c.later()
	c.do("HEAD", "/v2/app/manifests/"+name, "", "", http.StatusOK)
	c.sweep() // the index is yet to come
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, indexType, manifestType, name, len(inner))
	outer := c.do("PUT", "/v2/app/manifests/1", indexType, index, http.StatusCreated).Header.Get("Docker-Content-Digest")
	c.later()
	c.sweep()
	c.do("GET", "/v2/app/manifests/"+name, "", "", http.StatusOK)
	c.do("DELETE", "/v2/app/manifests/"+outer, "", "", http.StatusAccepted)
	c.later()
	c.sweep()
	if c.has(name) || c.has(digest.FromString("layer").String()) {
		t.Error("what the index named is still on the disk")
	}
}

func TestSweepWaitsForNoRequest(t *testing.T) {
	c := start(t)
	old := c.push("app", "1", "layer")
	c.do("DELETE", "/v2/app/manifests/"+old, "", "", http.StatusAccepted)
	c.later()
	c.gate.writing.RLock() // a request that writes
	c.sweep()
	c.gate.writing.RUnlock()
	if !c.has(old) {
		t.Error("swept while a request wrote")
	}
	c.sweep()
	if c.has(old) {
		t.Error("not swept afterwards")
	}
}
