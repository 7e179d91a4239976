//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A moment is brought back as a new server, without dump and load: killed half-way and run
// again, gone back from, and after the server and its volume were lost.
func testWholeServer(t *testing.T) {
	c := running(t)
	writer := newSite(t, production).as(t, unique("archivist"))
	streamReaches(t, time.Now())

	before := beginNotes(writer, unique("whole"))
	time.Sleep(3 * time.Second)
	before.end(t)
	time.Sleep(time.Second)
	at := time.Now()
	time.Sleep(time.Second)
	mustBerth(t, "psql", "production", "--write", "-c", "DELETE FROM articles")
	later := beginNotes(writer, unique("meanwhile"))

	restore := []string{"backup", "restore", "--yes", "--whole-server", "--at", at.UTC().Format(time.RFC3339Nano)}
	killed := begin(t, restore...)
	killed.until("• Bring back the server")
	killed.signal(syscall.SIGKILL)
	killed.end()
	o := waitUnlocked(t, restore...)
	o.wants(t, 0, "production serves what was there on", "as PostgreSQL 17b", "Nothing could be written for", "--back")
	t.Logf("a DELETE without WHERE was undone by another server in %s: %s", o.took.Round(100*time.Millisecond), sentence(o.said, "Nothing could be written"))
	later.end(t)
	before.judge(t, 0)

	// Its log goes on, and a deploy stays on it.
	streamReaches(t, time.Now())
	mustBerth(t, "-C", marked(t, unique("restored")), "deploy", "production")
	before.judge(t, 0)

	// The old server has what was written while the other was filled. What was acknowledged
	// after the switch is the new one's.
	back := mustBerth(t, "database", "upgrade", "production", "--back", "--yes")
	back.wants(t, 0, "production is on PostgreSQL 17 again", "Nothing could be written for")
	t.Logf("went back in %s: %s", back.took.Round(100*time.Millisecond), sentence(back.said, "Nothing could be written"))
	mustBerth(t, "database", "upgrade", "production", "--forget", "--yes")
	streamReaches(t, time.Now())

	// The server is lost with its volume.
	lost := beginNotes(writer, unique("gone"))
	time.Sleep(2 * promised)
	c.destroyDatabase(t)
	lost.end(t)
	c.awaitEmptyDatabase(t)
	o = mustBerth(t, "backup", "restore", "--yes", "--whole-server", "--at", "latest")
	o.wants(t, 0, "as PostgreSQL 17b")
	youngest := lost.judge(t, promised)
	t.Logf("a lost server was replaced in %s; the youngest write that is there was %s old", o.took.Round(100*time.Millisecond), youngest.Round(time.Millisecond))

	// Once the old one is forgotten, its name is free, and what comes next finds it.
	mustBerth(t, "database", "upgrade", "production", "--forget", "--yes")
	streamReaches(t, time.Now())
	time.Sleep(time.Second)
	waitFor(t, "the first base of the new server", time.Minute, func() error {
		o = berth(t, "backup", "restore", "--yes", "--whole-server", "--at", "0s")
		if o.status != 0 && strings.Contains(o.said, "this moment cannot be reached") {
			return errors.New(o.said)
		}
		return nil
	})
	o.wants(t, 0, "as PostgreSQL 17.")
	lost.judge(t, promised)
	mustBerth(t, "database", "upgrade", "production", "--forget", "--yes")
	streamReaches(t, time.Now())
}
