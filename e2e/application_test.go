//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A second application comes by three files: berth.yaml, .env and a Dockerfile.
func testSecondApplication(t *testing.T) {
	c := running(t)
	folder := t.TempDir()
	for _, name := range []string{"berth.yaml", "Dockerfile", "main.go"} {
		content := readFile(t, filepath.Join("testdata", "hello", name))
		write(t, filepath.Join(folder, name), content)
	}
	secret := unique("ahoy")
	write(t, filepath.Join(folder, ".env"), "GREETING="+secret+"\n")

	underLoad(t, "deploy of another application", func() {
		mustBerth(t, "-C", folder, "deploy", "staging").wants(t, 0, "https://hello.localhost:8443")
	})
	var answer struct{ Greeting, Path string }
	newSite(t, "hello.localhost").call(t, "GET", "/from/outside", nil, &answer)
	if answer.Greeting != secret || answer.Path != "/from/outside" {
		t.Errorf("hello answers %+v, want %s", answer, secret)
	}
	var tags object
	newSite(t, staging).call(t, "GET", "/api/tags", nil, &tags)

	var status struct {
		OK           bool
		Environments []struct{ Pods []struct{ Name string } }
	}
	mustBerth(t, "-C", folder, "status", "--json").decode(t, &status)
	if !status.OK || len(status.Environments) != 1 || len(status.Environments[0].Pods) != 1 {
		t.Errorf("status of hello: %+v", status)
	}
	mustBerth(t, "-C", folder, "logs", "staging").wants(t, 0, "hello: serving on 9000")
	// A new value in .env is what the application gets next.
	changed := unique("farewell")
	write(t, filepath.Join(folder, ".env"), "GREETING="+changed+"\n")
	mustBerth(t, "-C", folder, "deploy", "staging")
	lag := waitFor(t, "the new greeting", 5*time.Second, func() error {
		newSite(t, "hello.localhost").call(t, "GET", "/", nil, &answer)
		if answer.Greeting != changed {
			return fmt.Errorf("hello answers %+v, want %s", answer, changed)
		}
		return nil
	})
	t.Logf("NGINX sends requests to the new revision %s after the deploy has said that it serves", lag)
	for name, content := range c.releases(t, "staging") {
		if strings.Contains(content, secret) || strings.Contains(content, changed) {
			t.Errorf("the secret is in the release's history, in %s", name)
		}
	}
}

// releases is what Helm keeps of a namespace: JSON, in gzip, in base64.
func (c *cluster) releases(t *testing.T, namespace string) map[string]string {
	t.Helper()
	list, err := c.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "type=helm.sh/release.v1"})
	if err != nil {
		t.Fatal(err)
	}
	releases := map[string]string{}
	for _, secret := range list.Items {
		zipped, err := base64.StdEncoding.DecodeString(string(secret.Data["release"]))
		if err != nil {
			t.Fatal(err)
		}
		reader, err := gzip.NewReader(bytes.NewReader(zipped))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		releases[secret.Name] = string(content)
	}
	if len(releases) == 0 {
		t.Fatalf("%s has no releases", namespace)
	}
	return releases
}
