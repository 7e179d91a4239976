package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a run came to is told to the recipients in the settings.
func TestReports(t *testing.T) {
	said := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
		said <- r.URL.Path + " " + body.String()
	}))
	defer server.Close()
	s := newSite(t)
	s.env["METRICS_FILE"] = filepath.Join(t.TempDir(), "backup.prom")
	s.env["PUSHGATEWAY_URL"] = server.URL
	s.env["WEBHOOK_URL"] = server.URL + "/secret-hook"
	metrics := func() string {
		t.Helper()
		data, err := os.ReadFile(s.env["METRICS_FILE"])
		if err != nil {
			t.Fatal(err)
		}
		// The file keeps what this run does not know, as the Pushgateway does.
		pushed, ours := strings.CutPrefix(<-said, "/metrics/job/backup/database/"+s.name+" ")
		if !ours || !strings.HasPrefix(string(data), pushed) {
			t.Errorf("pushed %s", pushed)
		}
		return string(data)
	}
	s.succeeds(t, nil, "run")
	got := metrics()
	for _, want := range []string{"\nbackup_last_run_success 1\n", "\nbackup_last_success_timestamp_seconds 1", "\nbackup_last_verified_timestamp_seconds 1", "\nbackup_rows 0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in the metrics:\n%s", want, got)
		}
	}
	s.fails(t, map[string]string{"PG_BIN": wrap(t, "echo no >&2; exit 1")}, "pg_dump: exit status 1: no", "run")
	if got := metrics(); !strings.Contains(got, "backup_last_run_success 0\n") || !strings.Contains(got, "\nbackup_last_success_timestamp_seconds 1") {
		t.Errorf("after a failure the metrics are:\n%s", got)
	}
	if got := <-said; !strings.HasPrefix(got, `/secret-hook {"text":"Backup of `+s.name+` failed: `) || !strings.Contains(got, "exit status 1") {
		t.Errorf("the webhook is told %s", got)
	}
	server.Close()
	o := s.backup(t, "", map[string]string{"PG_BIN": wrap(t, "exit 1")}, "run")
	if !strings.Contains(o.stderr, "the report did not arrive") || strings.Contains(o.stderr, "secret-hook") {
		t.Errorf("what cannot be told is logged as:\n%s", o.stderr)
	}
}
