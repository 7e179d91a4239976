//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// PostgreSQL is upgraded to the next major version while people write, and goes back.
func testUpgrade(t *testing.T) {
	running(t)
	writer := newSite(t, production).as(t, unique("editor"))

	before := beginNotes(writer, unique("seventeen"))
	time.Sleep(2 * time.Second)
	before.end(t)
	written := beginNotes(writer, unique("upgraded"))
	upgrade := mustBerth(t, "database", "upgrade", "production", "--to", "18", "--yes")
	upgrade.wants(t, 0, "production is on PostgreSQL 18", "Nothing could be written for", "databaseVersion: 18")
	written.end(t)
	written.judge(t, 0)
	before.judge(t, 0)
	t.Logf("upgraded in %s: %s", upgrade.took.Round(100*time.Millisecond), sentence(upgrade.said, "Nothing could be written"))
	serves(t, "18")

	// Neither goes back without a word.
	berth(t, "rollback", "production").wants(t, 2, "--back")

	back := mustBerth(t, "database", "upgrade", "production", "--back", "--yes")
	back.wants(t, 0, "production is on PostgreSQL 17 again", "Nothing could be written for")
	t.Logf("went back in %s: %s", back.took.Round(100*time.Millisecond), sentence(back.said, "Nothing could be written"))
	serves(t, "17")
	before.judge(t, 0)
	mustBerth(t, "database", "upgrade", "production", "--forget", "--yes")
}

// serves compares the major version of production's PostgreSQL.
func serves(t *testing.T, version string) {
	t.Helper()
	status, out, errs := piped(t, []byte("SHOW server_version;\n"), "psql", "production", "--", "--tuples-only", "--no-align")
	if status != 0 || !strings.HasPrefix(string(out), version+".") {
		t.Fatalf("PostgreSQL %s serves, want %s: status %d: %s", out, version, status, errs)
	}
}

// sentence is the one in what a command said that has those words.
func sentence(said, words string) string {
	for line := range strings.Lines(said) {
		for part := range strings.SplitSeq(strings.TrimSpace(line), ". ") {
			if strings.Contains(part, words) {
				return part
			}
		}
	}
	return ""
}
