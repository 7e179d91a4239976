//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// brought copies an application of testdata/applications, as its owner has it,
// into a folder of its own and runs "berth new" there.
func brought(t *testing.T, name string) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("testdata", "applications", name))); err != nil {
		t.Fatal(err)
	}
	o := mustBerth(t, "-C", folder, "new")
	t.Logf("berth new says:\n%s\nand writes:\n%s", o.said, readFile(t, filepath.Join(folder, "berth.yaml")))
	return folder
}

// edit changes the berth.yaml of a folder as its owner would.
func edit(t *testing.T, folder string, change func(config object)) {
	t.Helper()
	file := filepath.Join(folder, "berth.yaml")
	var config object
	if err := yaml.Unmarshal([]byte(readFile(t, file)), &config); err != nil {
		t.Fatal(err)
	}
	change(config)
	content, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(content))
}

// set writes a value at a path of mappings, which it makes where they are not
// there.
func set(in object, value any, path ...string) {
	for _, key := range path[:len(path)-1] {
		next, ok := in[key].(object)
		if !ok {
			next = object{}
			in[key] = next
		}
		in = next
	}
	in[path[len(path)-1]] = value
}

// fetch makes a request without a body and returns the answer's status and
// text.
func (s *site) fetch(t *testing.T, method, path string, body io.Reader) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, s.url(path), body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Applications of other people run as they have them: "berth new", secrets
// into .env, deploy.
func testApplications(t *testing.T) {
	running(t)
	t.Run("side by side", testSideBySide)
	// Their backups' image was made of the source that the program carries.
	if found, err := filepath.Glob(home + "/cache/berth/source/*/images/backup/Dockerfile"); err != nil || len(found) != 1 {
		t.Errorf("unpacked source: %v, %v", found, err)
	}
}

func testSideBySide(t *testing.T) {
	t.Run("stock NGINX on port 80", func(t *testing.T) {
		t.Parallel()
		folder := brought(t, "nginx")
		mustBerth(t, "-C", folder, "deploy", "staging")
		status, page := newSite(t, "staging.nginx.localhost").fetch(t, "GET", "/", nil)
		if status != http.StatusOK || !strings.Contains(page, "A page of its own") {
			t.Errorf("it answers %d: %s", status, page)
		}
	})
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		folder := brought(t, "node")
		secret := unique("token")
		write(t, filepath.Join(folder, ".env"), "API_TOKEN="+secret+"\n")
		edit(t, folder, func(config object) {
			config["secrets"] = []string{"API_TOKEN"}
			set(config, "ahoy, $GREETING for $$5", "environments", "staging", "env", "GREETING")
		})
		mustBerth(t, "-C", folder, "deploy", "staging")
		var answer struct {
			Greeting, Kept string
			Token          int
		}
		newSite(t, "staging.node.localhost").call(t, "GET", "/", nil, &answer)
		if answer.Greeting != "ahoy, $GREETING for $$5" || answer.Token != len(secret) || answer.Kept != "kept" {
			t.Errorf("it answers %+v", answer)
		}
		mustBerth(t, "-C", folder, "logs", "staging").wants(t, 0, "letters: listening", "mailer: waiting for letters")
		// The settings of berth are not part of the image.
		o := mustBerth(t, "-C", folder, "run", "staging", "--", "ls", "-a", "/srv")
		if strings.Contains(o.printed, ".env") || strings.Contains(o.printed, "berth.yaml") || !strings.Contains(o.printed, "server.js") {
			t.Errorf("the image holds:\n%s", o.printed)
		}
	})
	t.Run("Django", func(t *testing.T) {
		t.Parallel()
		folder := brought(t, "django")
		write(t, filepath.Join(folder, ".env"), "DJANGO_SECRET_KEY="+unique("key")+"\n")
		edit(t, folder, func(config object) {
			config["secrets"] = []string{"DJANGO_SECRET_KEY"}
			set(config, []string{"python3", "manage.py", "migrate", "--noinput"}, "release", "command")
			set(config, "polls.localhost", "environments", "production", "env", "ALLOWED_HOSTS")
			set(config, []string{"polls.localhost"}, "environments", "production", "hosts")
		})
		mustBerth(t, "-C", folder, "deploy", "production")
		polls := newSite(t, "polls.localhost")
		polls.call(t, "POST", "/vote?choice=tea", nil, nil)
		var answer struct{ Votes map[string]int }
		polls.call(t, "GET", "/", nil, &answer)
		if answer.Votes["tea"] != 1 {
			t.Errorf("the votes are %+v", answer)
		}
	})
	t.Run("a worker alone with Valkey", func(t *testing.T) {
		t.Parallel()
		folder := brought(t, "worker")
		mustBerth(t, "-C", folder, "deploy", "staging")
		const count = 500
		mustBerth(t, "-C", folder, "run", "staging", "--", "python3", "put.py", fmt.Sprint(count))
		waitFor(t, "all numbers", time.Minute, func() error {
			o := mustBerth(t, "-C", folder, "run", "staging", "--", "python3", "put.py")
			if want := fmt.Sprintf("%d done, %d different", count, count); !strings.Contains(o.printed, want) {
				return fmt.Errorf("put.py says %s", o.printed)
			}
			return nil
		})
	})
	t.Run("Flask", testFlask)
}

// The kind of application that the original system deployed: SQLite in staging
// and PostgreSQL in production, migrations, a worker, a cron job and uploads.
func testFlask(t *testing.T) {
	t.Parallel()
	folder := flask(t)
	for _, environment := range []string{"staging", "production"} {
		mustBerth(t, "-C", folder, "deploy", environment)
	}
	for _, host := range []string{"staging.flask.localhost", "flask.localhost"} {
		notes := newSite(t, host)
		var health struct{ Version string }
		notes.call(t, "GET", "/healthz", nil, &health)
		if health.Version != "2" {
			t.Errorf("%s: the database has version %q", host, health.Version)
		}
		notes.call(t, "POST", "/notes", object{"text": "remember"}, nil)
		notes.call(t, "POST", "/jobs", object{"payload": unique("job")}, nil)
		if status, _ := notes.fetch(t, "PUT", "/uploads/letter.txt", strings.NewReader("dear reader")); status != http.StatusCreated {
			t.Errorf("%s: an upload is answered with %d", host, status)
		}
		waitFor(t, "the worker", 30*time.Second, func() error {
			var jobs struct{ Total, Done int }
			if notes.call(t, "GET", "/jobs", nil, &jobs); jobs.Done == 0 {
				return fmt.Errorf("%+v", jobs)
			}
			return nil
		})
	}
	// What was uploaded outlives the pods.
	mustBerth(t, "-C", folder, "restart", "production")
	if status, text := newSite(t, "flask.localhost").fetch(t, "GET", "/uploads/letter.txt", nil); status != http.StatusOK || text != "dear reader" {
		t.Errorf("the upload after a restart: %d %s", status, text)
	}
}

// flask is the Flask application with a cron job.
func flask(t *testing.T) (folder string) {
	t.Helper()
	folder = brought(t, "flask")
	write(t, filepath.Join(folder, ".env"), "SECRET_KEY="+unique("key")+"\n")
	edit(t, folder, func(config object) {
		config["secrets"] = []string{"SECRET_KEY"}
		config["health"] = "/healthz"
		set(config, object{"command": []string{"python3", "tick.py"}, "schedule": "* * * * *"}, "processes", "tick")
	})
	return folder
}
