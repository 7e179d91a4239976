package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"berth/internal/poll"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

//go:embed testdata
var testdata embed.FS

// subject is one application in a namespace of its own. Berth makes it; one of
// two is then changed by hand.
type subject struct {
	machine
	name, namespace, folder, line, source string
	// text is the line as it stands, setting the variable.
	text, setting string
}

func (m machine) newSubject(ctx context.Context, name, line, namespace string) (*subject, error) {
	s := &subject{machine: m, name: name, namespace: namespace, folder: filepath.Join(m.folder, namespace), line: line, text: "first", setting: "first"}
	files, err := fs.Sub(testdata, "testdata/"+name)
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(s.folder, files); err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(s.folder, line))
	if err != nil {
		return nil, err
	}
	s.source = string(source)
	if err := s.write(); err != nil {
		return nil, err
	}
	if err := s.deploy(ctx); err != nil {
		return nil, err
	}
	return s, s.serves(ctx)
}

// write writes the line and the setting.
func (s *subject) write() error {
	return errors.Join(
		os.WriteFile(filepath.Join(s.folder, s.line), []byte(strings.ReplaceAll(s.source, "LINE", s.text)), 0o644),
		os.WriteFile(filepath.Join(s.folder, "berth.yaml"), fmt.Appendf(nil, `name: %s
dockerfile: Dockerfile
port: 8000
health: /
env:
  SETTING: %s
environments:
  %s:
    hosts: [%s.localhost]
`, s.name, s.setting, s.namespace, s.namespace), 0o644))
}

// change makes a change, and measures how long it takes.
func (s *subject) change(ctx context.Context, what string, round int, deploy func(context.Context) error) (t took, err error) {
	switch what {
	case "a changed line":
		s.text = fmt.Sprintf("line-%d-%d", round, os.Getpid())
	case "a changed setting":
		s.setting = fmt.Sprintf("setting-%d-%d", round, os.Getpid())
	}
	if err := s.write(); err != nil {
		return t, err
	}
	began := time.Now()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		err := s.serves(ctx)
		t.toServe = time.Since(began)
		served <- err
	}()
	err = deploy(ctx)
	t.toEnd = time.Since(began)
	if err != nil {
		stop()
		<-served
		return t, err
	}
	err = <-served
	if what == "nothing" { // the page said so before
		t.toServe = t.toEnd
	}
	return t, err
}

func (s *subject) deploy(ctx context.Context) error {
	_, err := command(ctx, s.berth, "-C", s.folder, "deploy", s.namespace)
	return err
}

// byHand does the least that such a change takes.
func (s *subject) byHand(ctx context.Context, what string) error {
	if what == "a changed setting" {
		return s.patch(ctx, map[string]any{"env": []any{map[string]any{"name": "SETTING", "value": s.setting}}})
	}
	image, err := s.build(ctx)
	if err != nil {
		return err
	}
	return s.patch(ctx, map[string]any{"image": image})
}

// build builds and pushes an image, and returns its name by digest, as the
// nodes know it.
func (s *subject) build(ctx context.Context) (string, error) {
	storage := []string{"--root", filepath.Join(s.machine.folder, "root"), "--runroot", filepath.Join(s.machine.folder, "runroot"), "--storage-driver", "overlay"}
	buildah := func(arguments ...string) (string, error) {
		return command(ctx, "buildah", append(storage, arguments...)...)
	}
	for _, base := range []struct{ layout, name string }{{"trixie*", "docker.io/library/debian:trixie-slim"}, {"golang-*", "docker.io/library/golang:1.26"}} {
		if _, err := buildah("inspect", "--type", "image", base.name); err == nil {
			continue
		}
		// Where Docker Hub is away, the same image as berth's build has.
		layouts, err := filepath.Glob(filepath.Join(s.cache, "bases", base.layout, "index.json"))
		if err != nil || len(layouts) == 0 {
			continue
		}
		id, err := buildah("pull", "--quiet", "oci:"+filepath.Dir(layouts[0]))
		if err != nil {
			return "", err
		}
		if _, err := buildah("tag", id, base.name); err != nil {
			return "", err
		}
	}
	certificates := filepath.Join(s.machine.folder, "certificates")
	if err := os.MkdirAll(certificates, 0o700); err != nil {
		return "", err
	}
	authority, err := os.ReadFile(filepath.Join(s.state, "pki", "kubernetes-ca.crt"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(certificates, "ca.crt"), authority, 0o600); err != nil {
		return "", err
	}
	id := filepath.Join(s.machine.folder, "id")
	short := filepath.Join(s.machine.folder, "registries.conf")
	if err := os.WriteFile(short, []byte("unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"disabled\"\n"), 0o600); err != nil {
		return "", err
	}
	if _, err := buildah("--registries-conf", short, "build", "--isolation", "chroot", "--layers", "--quiet", "--iidfile", id, s.folder); err != nil {
		return "", err
	}
	built, err := os.ReadFile(id)
	if err != nil {
		return "", err
	}
	digest := filepath.Join(s.machine.folder, "digest")
	login := filepath.Join(s.state, "etc", "registry-auth.json")
	registry, err := registryOf(login)
	if err != nil {
		return "", err
	}
	if _, err := buildah("push", "--quiet", "--disable-compression", "--authfile", login,
		"--cert-dir", certificates, "--digestfile", digest, string(built), "docker://"+registry+"/"+s.namespace+":latest"); err != nil {
		return "", err
	}
	pushed, err := os.ReadFile(digest)
	return "berth.local/" + s.namespace + "@" + strings.TrimSpace(string(pushed)), err
}

// registryOf is the registry that a login is for.
func registryOf(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var logins struct{ Auths map[string]any }
	if err := json.Unmarshal(content, &logins); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	for registry := range logins.Auths {
		return registry, nil
	}
	return "", fmt.Errorf("%s has no login", file)
}

// patch changes the container of the Deployment, and waits until all pods are
// new ones that are ready, as "kubectl rollout status" does.
func (s *subject) patch(ctx context.Context, container map[string]any) error {
	container["name"] = "web"
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{container}}}}})
	if err != nil {
		return err
	}
	deployments := s.client.AppsV1().Deployments(s.namespace)
	if _, err := deployments.Patch(ctx, s.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	return poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		d, err := deployments.Get(ctx, s.name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		want := *d.Spec.Replicas
		return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == want && d.Status.Replicas == want && d.Status.AvailableReplicas == want, nil
	})
}

// serves waits until the page says what it was changed to.
func (s *subject) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // whose it is says the page
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:8443")
		},
	}}
	last := ""
	err := poll.Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.namespace+".localhost:8443/", nil)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		defer response.Body.Close()
		page, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		last = strings.TrimSpace(string(page))
		return err == nil && last == s.text+" "+s.setting, nil
	})
	if err != nil {
		return fmt.Errorf("it serves %q, not %q: %w", last, s.text+" "+s.setting, err)
	}
	return nil
}

// remove removes the namespace, whatever became of the measurement.
func (s *subject) remove() error {
	err := s.client.CoreV1().Namespaces().Delete(context.Background(), s.namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// command runs a program; an error holds what it said.
func command(ctx context.Context, name string, arguments ...string) (string, error) {
	c := exec.CommandContext(ctx, name, arguments...)
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), arguments[0], err, lastLines(said.String(), 8))
	}
	return strings.TrimSpace(out.String()), nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
