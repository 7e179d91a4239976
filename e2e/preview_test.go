//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aPreview is one as berth preview list tells of it.
type aPreview struct {
	Branch, Environment, Host, Data string
	Serving                         bool
	Expires                         time.Time
}

func previewsOf(t *testing.T, folder string) (all []aPreview) {
	t.Helper()
	mustBerth(t, "-C", folder, "preview", "list", "--json").decode(t, &all)
	return all
}

// Branches have environments of their own, with production's data and none of its people
// and secrets, and they go by themselves.
func testPreview(t *testing.T) {
	c := running(t)
	folder := flask(t)
	secret := strings.TrimSpace(strings.TrimPrefix(readFile(t, folder+"/.env"), "SECRET_KEY="))
	edit(t, folder, func(config object) {
		set(config, object{}, "processes")
		set(config, "postgres", "environments", "production", "database")
		set(config, "0 3 * * *", "environments", "production", "backup", "schedule")
		set(config, object{"from": "production", "data": "copy", "limit": 5, "mask": object{"jobs.payload": "a job"}}, "previews")
	})
	mustBerth(t, "-C", folder, "deploy", "production")
	notes := newSite(t, "flask.localhost")
	person := unique("person") + "@shop.example"
	for i := range 20 {
		notes.call(t, "POST", "/jobs", object{"payload": fmt.Sprintf("%d %s", i, person)}, nil)
	}
	notes.call(t, "POST", "/jobs", object{"payload": person}, nil)
	notes.call(t, "POST", "/notes", object{"text": "ask " + person}, nil)
	mustBerth(t, "-C", folder, "backup", "now", "--env", "production")
	var before struct{ Total int }
	notes.call(t, "GET", "/jobs", nil, &before)

	// Nobody has thought of the note, so nobody sees it.
	berth(t, "-C", folder, "preview", "leaky").wants(t, 1, "public.notes.text holds what jobs.payload held", "previews.mask")
	if found := previewsOf(t, folder); len(found) > 0 {
		t.Errorf("what was not masked is there to be seen: %+v", found)
	}
	edit(t, folder, func(config object) { set(config, "a note", "previews", "mask", "notes.text") })

	killed := begin(t, "-C", folder, "preview", "one")
	killed.until("• Restore backup")
	killed.signal(syscall.SIGKILL)
	killed.end()
	if found := previewsOf(t, folder); len(found) != 1 || found[0].Data != "" {
		t.Errorf("a killed one is %+v", found)
	}
	// Five side by side, of which one is begun already.
	var made []*ongoing
	for _, branch := range []string{"one", "feature/Two", "three", "four", "five"} {
		made = append(made, begin(t, "-C", folder, "preview", branch))
	}
	for _, o := range made {
		o.end().wants(t, 0)
	}
	t.Logf("one of five says:\n%s", made[0].said.String())
	berth(t, "-C", folder, "preview", "six").wants(t, 1, "there are 5 previews already", "hint: berth preview remove ")

	found := previewsOf(t, folder)
	if len(found) != 5 {
		t.Fatalf("there are %+v", found)
	}
	two := found[slices.IndexFunc(found, func(p aPreview) bool { return p.Branch == "feature/Two" })]
	keys, err := c.CoreV1().Secrets("production").Get(t.Context(), "flask-backup-bucket", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		if !p.Serving || p.Data == "" {
			t.Errorf("it is %+v", p)
		}
		site := newSite(t, p.Host)
		var all []struct{ Text, Author string }
		site.call(t, "GET", "/notes", nil, &all)
		var jobs struct{ Total int }
		site.call(t, "GET", "/jobs", nil, &jobs)
		if len(all) == 0 || all[0].Text != "a note" || jobs.Total != before.Total {
			t.Errorf("%s has the notes %+v and %d jobs, of %d", p.Branch, all, jobs.Total, before.Total)
		}
		_, dump, _ := piped(t, nil, "-C", folder, "exec", p.Branch, "--pod", "flask-postgresql-0", "--", "pg_dumpall", "-U", "app")
		if len(dump) == 0 || bytes.Contains(dump, []byte("@shop.example")) {
			t.Errorf("%s has a dump of %d bytes, in which somebody is found, or nothing", p.Branch, len(dump))
		}
		secrets, err := c.CoreV1().Secrets(p.Environment).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets.Items {
			for name, value := range s.Data {
				if string(value) == secret || len(value) > 0 && (bytes.Equal(value, keys.Data["BUCKET_ACCESS_KEY"]) || bytes.Equal(value, keys.Data["BUCKET_SECRET_KEY"])) {
					t.Errorf("%s has a secret of production's: %s of %s", p.Branch, name, s.Name)
				}
			}
		}
		site.call(t, "POST", "/notes", object{"text": "of " + p.Branch}, nil)
	}
	mustBerth(t, "-C", folder, "psql", "one", "-c", "SELECT count(*) FROM notes")
	mustBerth(t, "-C", folder, "logs", "feature/Two")

	for _, p := range found {
		if p.Branch != two.Branch {
			o := mustBerth(t, "-C", folder, "preview", "remove", p.Branch)
			t.Logf("%s is gone in %s", p.Branch, o.took.Round(100*time.Millisecond))
			c.isGone(t, p.Environment)
		}
	}

	// The data stays, and the cluster alone removes it.
	edit(t, folder, func(config object) { set(config, "2m", "previews", "expire") })
	mustBerth(t, "-C", folder, "preview", "feature/Two")
	left := previewsOf(t, folder)
	if len(left) != 1 || left[0].Data != two.Data {
		t.Fatalf("there are %+v", left)
	}
	waitFor(t, "the preview to expire", 5*time.Minute, func() error {
		_, err := c.CoreV1().Namespaces().Get(t.Context(), left[0].Environment, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there, %s after its time: %v", time.Since(left[0].Expires).Round(time.Second), err)
	})
	waitFor(t, "its volumes to go", time.Minute, func() error { return c.volumesOf(t, left[0].Environment) })

	var texts []struct{ Text string }
	notes.call(t, "GET", "/notes", nil, &texts)
	for _, note := range texts {
		if strings.HasPrefix(note.Text, "of ") || note.Text == "a note" {
			t.Errorf("production has a preview's note %q", note.Text)
		}
	}
}

// isGone sees that nothing is left of a namespace.
func (c *cluster) isGone(t *testing.T, namespace string) {
	t.Helper()
	if _, err := c.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is left: %v", err)
	}
	if err := c.volumesOf(t, namespace); err != nil {
		t.Error(err)
	}
	bindings, err := c.RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings.Items {
		for _, s := range b.Subjects {
			if s.Namespace == namespace {
				t.Errorf("the ClusterRoleBinding %s is left", b.Name)
			}
		}
	}
}

// volumesOf returns an error where a namespace has volumes.
func (c *cluster) volumesOf(t *testing.T, namespace string) error {
	t.Helper()
	volumes, err := c.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == namespace {
			return fmt.Errorf("the volume %s is left", v.Name)
		}
	}
	return nil
}
