//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// archived is what berth backup list --json says of a backup.
type archived struct {
	ID       string `json:"id"`
	Verified *struct {
		OK bool `json:"ok"`
	} `json:"verified"`
}

func backups(t *testing.T) []archived {
	t.Helper()
	var all []archived
	mustBerth(t, "backup", "list", "--json").decode(t, &all)
	return all
}

// What was deleted comes back, under load, and whatever interrupts that leaves
// a database that serves.
func testBackups(t *testing.T) {
	running(t)
	writer := newSite(t, production).as(t, unique("archivist"))
	first, second := writer.write(t, unique("kept")), writer.write(t, unique("kept too"))

	underLoad(t, "backup", func() { mustBerth(t, "backup", "now").wants(t, 0, "verified") })
	made := backups(t)
	if len(made) == 0 || made[0].Verified == nil || !made[0].Verified.OK {
		t.Fatalf("the newest backup is not verified: %+v", made)
	}
	mustBerth(t, "status").wants(t, 0, made[0].ID)
	writer.call(t, "DELETE", "/api/articles/"+first, nil, nil)
	writer.call(t, "DELETE", "/api/articles/"+second, nil, nil)

	// An interrupt, and a kill, before the backup has been restored: what is
	// there serves. A small database may be restored before the interrupt has come
	// to the program, and then it is said.
	after := writer.write(t, unique("after the backup"))
	restoring := begin(t, "backup", "restore", "--yes", "--no-safety-backup", made[0].ID)
	restoring.until("• Restore backup")
	restoring.signal(syscall.SIGINT)
	if ended := restoring.end(); ended.status == 0 {
		ended.wants(t, 0, "serves what was backed up")
		writer.holds(t, first, second)
		for _, article := range []string{first, second} {
			writer.call(t, "DELETE", "/api/articles/"+article, nil, nil)
		}
		after = writer.write(t, unique("after the interrupt"))
	} else {
		ended.wants(t, 1, "interrupted")
		writer.holds(t, after)
	}
	interrupt(t, "• Stop production", syscall.SIGKILL, "backup", "restore", "--yes", "--no-safety-backup", made[0].ID)
	waitUnlocked(t, "deploy", "production")
	writer.holds(t, after)

	w := watchWrites(t, writer)
	time.Sleep(2 * time.Second)
	restore := mustBerth(t, "backup", "restore", "--yes", made[0].ID)
	time.Sleep(2 * time.Second)
	refused, out := w.end(t)
	said := regexp.MustCompile(`Nothing could be written for ([0-9.]+) s`).FindStringSubmatch(restore.printed)
	if said == nil {
		t.Fatalf("it does not say how long writes were out:\n%s", restore.printed)
	}
	printed, err := strconv.ParseFloat(said[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes were out for %.1f s, berth says %s s; %d of %d writes were refused meanwhile", out.Seconds(), said[1], refused, w.sent)
	if out.Seconds() > printed+2 {
		t.Errorf("writes were out for longer than it says")
	}
	writer.holds(t, first, second)
	writer.call(t, "POST", "/api/articles/"+first+"/comments", object{"comment": object{"body": "it takes writes again"}}, nil)

	// What was there before is a backup of its own, which can be got as SQL.
	made = backups(t)
	file := filepath.Join(t.TempDir(), "before.sql")
	mustBerth(t, "backup", "get", made[0].ID, "--output", file)
	if sql, err := os.ReadFile(file); err != nil || !strings.Contains(string(sql), after) {
		t.Errorf("the safety backup does not hold what was written last: %d bytes, %v", len(sql), err)
	}
	mustBerth(t, "backup", "verify", made[0].ID).wants(t, 0, "is what was backed up")

	t.Run("SQLite", testSQLiteBackup)
}

// A SQLite file is backed up where berth.yaml asks for it.
func testSQLiteBackup(t *testing.T) {
	folder := project(t, func(config object) {
		config["environments"].(object)["staging"].(object)["backup"] = object{"schedule": "30 4 * * *"}
	})
	mustBerth(t, "-C", folder, "deploy", "staging")
	writer := newSite(t, staging).as(t, unique("lightly"))
	kept := writer.write(t, unique("kept in a file"))
	mustBerth(t, "-C", folder, "backup", "now", "--env", "staging").wants(t, 0, "staging is backed up", "verified")
	writer.call(t, "DELETE", "/api/articles/"+kept, nil, nil)
	mustBerth(t, "-C", folder, "backup", "restore", "--env", "staging", "--yes").wants(t, 0, "Nothing could be written for")
	writer.holds(t, kept)
	// And no more where it does not.
	mustBerth(t, "deploy", "staging").wants(t, 0, "Remove the schedule of backups of staging")
}

// writes are made one after the other, each a new article.
type writes struct {
	stop    chan struct{}
	done    sync.WaitGroup
	sent    int
	refused int
	// first and last are when the first one was refused and the last one was.
	first, last time.Time
}

func watchWrites(t *testing.T, as *site) *writes {
	w := &writes{stop: make(chan struct{})}
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			w.sent++
			began := time.Now()
			err := try(as, "POST", "/api/articles", object{"article": object{
				"title": fmt.Sprintf("%s %d", t.Name(), w.sent), "description": "written", "body": "meanwhile",
			}})
			if err != nil {
				if w.refused++; w.first.IsZero() {
					w.first = began
				}
				w.last = time.Now()
			}
		}
	})
	return w
}

func (w *writes) end(t *testing.T) (refused int, out time.Duration) {
	t.Helper()
	close(w.stop)
	w.done.Wait()
	if w.sent < 10 || w.refused == w.sent {
		t.Errorf("of %d writes %d were refused", w.sent, w.refused)
	}
	return w.refused, w.last.Sub(w.first)
}
