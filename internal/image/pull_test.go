package image

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/fault"
)

// startRegistry starts one whose images below /open/ everybody may pull, and those below
// /own/ everybody who knows the password. As GitHub's it asks for a token first.
func startRegistry(t *testing.T) (host string) {
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const password = "right"
		_, given, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && given == password:
			fmt.Fprint(w, `{"token": "all"}`)
		case r.URL.Path == "/token" && given == "":
			fmt.Fprint(w, `{"token": "none"}`)
		case r.URL.Path == "/token":
			w.WriteHeader(http.StatusForbidden)
		case strings.Contains(r.URL.Path, "/broken/"):
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.Contains(r.URL.Path, "/absent/") && r.Header.Get("Authorization") == "Bearer all":
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(r.URL.Path, "/open/"), r.Header.Get("Authorization") == "Bearer all":
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0a", 32))
			w.Header().Set("Content-Length", "2")
		default:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", server.URL+"/token"))
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// noLogins hides the logins of the user who runs the tests.
func noLogins(t *testing.T) (docker string) {
	folder := t.TempDir()
	for _, name := range []string{"DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		t.Setenv(name, folder)
	}
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(folder, "none.json"))
	return filepath.Join(folder, "config.json")
}

func TestPullLogins(t *testing.T) {
	host := startRegistry(t)
	basic := func(login string) string { return base64.StdEncoding.EncodeToString([]byte(login)) }
	auths := func(key, login string) string { return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, basic(login)) }
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for _, test := range []struct {
		what, login, image string
		want, err, hint    string
	}{
		{"everybody's", "", "/open/app:1", "", "", ""},
		{"everybody's, with a login that nobody needs", auths(host, "me:right"), "/open/app:1", "", "", ""},
		{"by a tag", auths(host, "me:right"), "/own/app:1", auths(host, "me:right"), "", ""},
		{"by a digest", auths(host, "me:right"), "/own/app" + digest, auths(host, "me:right"), "", ""},
		{"by both", auths(host, "me:right"), "/own/app:1" + digest, auths(host, "me:right"), "", ""},
		{"podman's login for a repository", auths(host+"/own", "me:right"), "/own/app:1", auths(host+"/own", "me:right"), "", ""},
		{"no login", "", "/own/app:1", "", "is private or does not exist, and there is no login for " + host, "docker login " + host},
		{"a login of another registry", auths("ghcr.io", "me:right"), "/own/app:1", "", "no login", "docker login"},
		{"a wrong password", auths(host, "me:wrong"), "/own/app:1", "", "cannot be pulled by the login for " + host + " as me", "docker login"},
		{"no such image", auths(host, "me:right"), "/absent/app:1", "", "cannot be pulled", "check that the image is there"},
		{"a job's token of GitHub's", auths(host, "me:ghs_right"), "/own/app:1", "", "one that expires soon", "which the cluster keeps"},
		{"a registry that is out of order", "", "/broken/app:1", "", "", ""},
		{"no reference", "", "/Own app", "", "invalid reference", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			if file := noLogins(t); test.login != "" {
				if err := os.WriteFile(file, []byte(test.login), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := PullLogins(t.Context(), host+test.image)
			if string(got) != test.want || (err == nil) != (test.err == "") {
				t.Errorf("got %s, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), test.err) || !strings.Contains(fault.Hint(err), test.hint)) {
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
			if err != nil && strings.Contains(err.Error()+fault.Hint(err), "wrong") {
				t.Error("the error shows the password")
			}
		})
	}
}

func TestPullLoginsOfPrograms(t *testing.T) {
	host := startRegistry(t)
	file := noLogins(t)
	folder := t.TempDir()
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	program := "#!/bin/sh\nread server; echo '{\"ServerURL\": \"'$server'\", \"Username\": \"me\", \"Secret\": \"right\"}'\n"
	if err := os.WriteFile(filepath.Join(folder, "docker-credential-vault"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"credHelpers": {"`+host+`": "vault"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := PullLogins(t.Context(), host+"/own/app:1", host+"/own/backup:1", host+"/open/x:1")
	if want := `{"auths":{"` + host + `":{"auth":"bWU6cmlnaHQ="}}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	// A registry that this machine cannot reach may be reached by the cluster.
	if got, err := PullLogins(t.Context(), "127.0.0.1:1/own/app:1"); got != nil || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := PullLogins(t.Context(), host+"/own/app:1"); errors.Is(err, ErrNoLogin) {
		t.Error(err)
	}
}
