//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const registryAddress = "10.118.0.1:20500"

// registryPassword is what berth's own clients of the registry use.
func registryPassword(t *testing.T) string {
	t.Helper()
	return readFile(t, filepath.Join(state, "pki", "registry-password.key"))
}

// registry asks the cluster's registry, with the right password, and returns
// the answer and its body.
func registry(t *testing.T, method, path string) (*http.Response, string) {
	t.Helper()
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM([]byte(readFile(t, filepath.Join(state, "pki", "kubernetes-ca.crt"))))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://"+registryAddress+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("berth", registryPassword(t))
	request.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// tags are what the registry has of an image.
func tags(t *testing.T, name string) []string {
	t.Helper()
	_, text := registry(t, "GET", "/v2/"+name+"/tags/list")
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("the registry answers %s: %v", text, err)
	}
	return list.Tags
}

// smallApplication is an application of a name of its own.
func smallApplication(t *testing.T, name string, environments ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	content := readFile(t, filepath.Join("testdata", "hello", "main.go"))
	write(t, filepath.Join(folder, "main.go"), content)
	// What changes comes last, so that a deploy moves a layer of a few bytes.
	write(t, filepath.Join(folder, "Dockerfile"), readFile(t, filepath.Join("testdata", "hello", "Dockerfile"))+"COPY content /content\n")
	write(t, filepath.Join(folder, "content"), name)
	config := "name: " + name + "\ndockerfile: Dockerfile\nport: 9000\nhealth: /alive\nenvironments:\n"
	for _, environment := range environments {
		config += fmt.Sprintf("  %s:\n    hosts: [%s.localhost]\n", environment, environment)
	}
	write(t, filepath.Join(folder, "berth.yaml"), config)
	return folder
}

func instance(name string) string {
	return "app.kubernetes.io/component=web,app.kubernetes.io/instance=" + name
}

// restarts deletes an environment's pods and waits until they are back, on a
// node if one is named.
func (c *cluster) restarts(t *testing.T, namespace, name, node string) {
	t.Helper()
	old := map[string]bool{}
	for _, pod := range c.pods(t, namespace, instance(name)) {
		old[pod.Name] = true
		if err := c.CoreV1().Pods(namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	took := waitFor(t, "a new pod in "+namespace, time.Minute, func() error {
		for _, pod := range c.pods(t, namespace, instance(name)) {
			if !old[pod.Name] && ready(&pod) && (node == "" || pod.Spec.NodeName == node) {
				return nil
			}
		}
		return fmt.Errorf("there is none that is ready")
	})
	t.Logf("a deleted pod of %s is back after %s", namespace, took)
}

// However often one environment is deployed, what another one runs or can go
// back to stays, and the rest goes.
func testImages(t *testing.T) {
	c := running(t)
	const staging, production = "prune-staging", "prune-production"
	folder := smallApplication(t, "prune", staging, production)
	t.Cleanup(func() {
		for _, namespace := range []string{staging, production} {
			if err := c.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	mustBerth(t, "-C", folder, "deploy", production)
	var fastest time.Duration
	for i := range *deploys {
		write(t, filepath.Join(folder, "content"), fmt.Sprint("staging ", i))
		o := mustBerth(t, "-C", folder, "deploy", staging)
		if fastest == 0 || o.took < fastest {
			fastest = o.took
		}
	}
	t.Logf("the fastest of %d deploys of a changed line took %s", *deploys, fastest)
	// One that fails is nothing to go back to.
	write(t, filepath.Join(folder, "content"), "staging fails")
	edit(t, folder, func(config object) { set(config, []string{"/nothing"}, "release", "command") })
	berth(t, "-C", folder, "deploy", staging).wants(t, 1, "/nothing")
	t.Run("what production runs", func(t *testing.T) { c.restarts(t, production, "prune", "") })
	t.Run("the rest goes", func(t *testing.T) {
		// Once somebody deploys: production's, and those that staging can go back
		// to, but not that of the deploy that failed.
		edit(t, folder, func(config object) { delete(config, "release") })
		write(t, filepath.Join(folder, "content"), "staging at last")
		mustBerth(t, "-C", folder, "deploy", staging)
		if left := tags(t, "prune"); len(left) != min(*deploys+1, 20)+1 {
			t.Errorf("the registry has %d images: %v", len(left), left)
		}
	})
	t.Run("on a node that comes later", func(t *testing.T) {
		mustBerth(t, "scale", "--nodes", "2")
		c.cordon(t, "node-1", true)
		defer c.cordon(t, "node-1", false)
		c.restarts(t, production, "prune", "node-2")
	})
	mustBerth(t, "scale", "--nodes", "1")
	t.Run("rollback to the oldest", func(t *testing.T) {
		mustBerth(t, "-C", folder, "rollback", staging, "2")
	})
	t.Run("rollback to what is gone", func(t *testing.T) {
		for _, tag := range tags(t, "prune") {
			response, _ := registry(t, "HEAD", "/v2/prune/manifests/"+tag)
			response, text := registry(t, "DELETE", "/v2/prune/manifests/"+response.Header.Get("Docker-Content-Digest"))
			if response.StatusCode != http.StatusAccepted {
				t.Fatalf("deleting is answered %s: %s", response.Status, text)
			}
		}
		o := berth(t, "-C", folder, "rollback", staging, "3")
		o.wants(t, 1, "revision 3 needs image berth.local/prune@sha256:", "which is gone", "berth deploy "+staging)
		if strings.Contains(o.said, "no such host") {
			t.Errorf("it said:\n%s", o.said)
		}
	})
}

// Nobody has to wait for others with a first deploy.
func testFirstDeploysAtOnce(t *testing.T) {
	c := running(t)
	var deploys sync.WaitGroup
	outcomes := make([]outcome, 4)
	for i := range outcomes {
		name := fmt.Sprintf("atonce-%d", i+1)
		folder := smallApplication(t, name, name)
		t.Cleanup(func() {
			if err := c.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		o := begin(t, "-C", folder, "deploy", name)
		deploys.Go(func() { outcomes[i] = o.end() })
	}
	deploys.Wait()
	for i, o := range outcomes {
		o.wants(t, 0, fmt.Sprintf("https://atonce-%d.localhost:8443", i+1))
		c.restarts(t, fmt.Sprintf("atonce-%d", i+1), fmt.Sprintf("atonce-%d", i+1), "")
	}
}
