package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/logs"
	"berth/internal/provider"
	"berth/internal/release"
)

// logLine is a line as the cluster and the archive have it alike.
func logLine(at time.Time, pod, text string) logs.Line {
	l := logs.Line{Time: at, Pod: pod, Container: "web", Node: "node-1"}
	l.Level, l.Message, l.Fields = logs.Parse(text)
	return l
}

func TestLogsAreShownInShortAndClean(t *testing.T) {
	w := newWorld()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.Local)
	w.lines = []logs.Line{
		logLine(at, "tiny-1", `{"time":"x","level":"INFO","msg":"request","path":"/a b","status":200,"id":"b"}`),
		logLine(at, "tiny-1", "panic: \x1b[2Jboom\n2026-01-02 03:04:05.006 tiny-2  not a line of its own"),
		logLine(at, "tiny-1", `{"status":200}`),
	}
	got := w.berth(t, "logs", "staging")
	want := `2026-01-02 03:04:05.006 tiny-1  INFO  request path="/a b" status=200 id=b
2026-01-02 03:04:05.006 tiny-1  panic: boom
    2026-01-02 03:04:05.006 tiny-2  not a line of its own
2026-01-02 03:04:05.006 tiny-1  {"status":200}
`
	if diff := cmp.Diff(want, got.out); diff != "" || got.status != succeeded || got.errors != "" {
		t.Errorf("%s%+v", diff, got)
	}
	today := time.Now()
	w.lines = []logs.Line{logLine(today, "tiny-1", "now")}
	w.berth(t, "logs", "staging").wants(t, succeeded, today.Format("15:04:05.000")+" tiny-1  now\n")
}

// TestLogsThatCannotBeWritten has a full disk, which is not a cluster that is away.
func TestLogsThatCannotBeWritten(t *testing.T) {
	for _, flag := range []string{"--json", "--level=info"} {
		w, _ := archivedWorld()
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, config.File), []byte(w.project), 0o644); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		a := &app{streams: console.Streams{In: strings.NewReader(""), Out: full, Err: &errs}, parts: w.parts()}
		status := run(t.Context(), []string{"--dir", dir, "logs", "staging", flag}, a)
		if said := errs.String(); status != failed || !strings.Contains(said, "no space left on device") || strings.Contains(said, "archive") {
			t.Errorf("%s: the status is %d, and it says %s", flag, status, said)
		}
	}
}

// TestLogsInJSONAreOneObjectEach looks at the shape, and that nothing gets to a
// terminal that it would act on.
func TestLogsInJSONAreOneObjectEach(t *testing.T) {
	w := newWorld()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	w.lines = []logs.Line{
		logLine(at, "tiny-1", `{"time":"x","level":"INFO","msg":"<request>","status":200,"latency_ms":0.5,"request_id":"A1"}`),
		logLine(at, "tiny-1", "panic: \x1b[2Jboom\u009b\u202e"),
	}
	got := w.berth(t, "logs", "staging", "--json")
	want := `{"time":"2026-01-02T03:04:05.006Z","level":"INFO","message":"<request>","pod":"tiny-1","node":"node-1","container":"web","fields":{"time":"x","status":200,"latency_ms":0.5,"request_id":"A1"}}
{"time":"2026-01-02T03:04:05.006Z","level":"FATAL","message":"panic: \u001b[2Jboom\u009b\u202e","pod":"tiny-1","node":"node-1","container":"web"}
`
	if diff := cmp.Diff(want, got.out); diff != "" {
		t.Error(diff)
	}
	var back logs.Line
	_, second, _ := strings.Cut(got.out, "\n")
	if err := json.Unmarshal([]byte(second), &back); err != nil || back.Message != w.lines[1].Message {
		t.Errorf("%+v, %v", back, err)
	}
}

// archivedWorld has a line that the cluster holds, one that it does not hold any
// more, and one of a pod that is gone.
func archivedWorld() (w *world, now time.Time) {
	w, now = newWorld(), time.Now()
	live := logLine(now.Add(-time.Minute), "tiny-1", "live")
	w.lines = []logs.Line{live}
	w.past = []logs.Line{logLine(now.Add(-3*time.Minute), "tiny-1", "rotated"), logLine(now.Add(-2*time.Minute), "tiny-0", "gone"), live}
	return w, now
}

func TestLogsThatTheClusterHasNotComeFromTheArchive(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"", "live"},
		{"--level info", "live"},
		{"-f --grep .", "live"},
		{"--since 1h", "rotated gone live"},
		{"--until 0s", "rotated gone live"},
		{"--grep .", "rotated gone live"},
		{"-f --since 1h", "rotated gone live"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			w, now := archivedWorld()
			got := w.berth(t, append([]string{"logs", "staging", "--json"}, strings.Fields(test.args)...)...)
			if texts := messages(t, got.out); texts != test.want || got.status != succeeded {
				t.Errorf("got %s; %+v", texts, got)
			}
			note := ""
			if test.want != "live" {
				note = fmt.Sprintf("   lines before %s, and those of pods that are gone, come from the archive\n", now.Add(-time.Minute).Format(time.DateTime))
			}
			if got.errors != note {
				t.Errorf("told %q, want %q", got.errors, note)
			}
		})
	}
}

func messages(t *testing.T, out string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(out) {
		var l logs.Line
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l.Message)
	}
	return strings.Join(all, " ")
}

func TestLogsWithoutACluster(t *testing.T) {
	w, _ := archivedWorld()
	w.cluster = nil
	got := w.berth(t, "logs", "staging")
	got.wants(t, succeeded, "   all lines come from the archive: the cluster is not up\n")
	if n := strings.Count(got.out, "\n"); n != 3 {
		t.Errorf("%d lines: %s", n, got.out)
	}
	// Without a line, it is the cluster that fails.
	w.past = nil
	w.berth(t, "logs", "staging").wants(t, failed, "error: the cluster is not up\n")
	// Neither can be followed what is not there, nor found what is nowhere.
	w, _ = archivedWorld()
	w.cluster = nil
	w.berth(t, "logs", "staging", "-f").wants(t, failed, "error: the cluster is not up\n")
	w.fail["bucket"] = provider.ErrNotUp
	if got := w.berth(t, "logs", "staging"); got.status != failed || strings.Count(got.errors, "not up") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLogsOfAnEnvironmentThatWasRemoved(t *testing.T) {
	w, _ := archivedWorld()
	w.lines, w.fail["logs"] = nil, fmt.Errorf("%w in staging", release.ErrNotDeployed)
	got := w.berth(t, "logs", "staging")
	got.wants(t, succeeded, "all lines come from the archive: nothing is deployed in staging")
}

func TestLogsWithoutABucketAreThoseOfTheCluster(t *testing.T) {
	w, _ := archivedWorld()
	w.fail["bucket"] = fault.WithHint(provider.ErrNoBucket, "set existing.bucket.name")
	got := w.berth(t, "logs", "staging", "--since", "1h")
	got.wants(t, succeeded, "   only lines that the cluster still has, because there is no bucket: set existing.bucket.name\n")
	if strings.Count(got.out, "\n") != 1 {
		t.Errorf("%+v", got)
	}
	if got := w.berth(t, "logs", "staging"); got.errors != "" {
		t.Errorf("told without being asked: %s", got.errors)
	}
}

// TestLogsShowWhatCanBeRead has an archive in which something is wrong.
func TestLogsShowWhatCanBeRead(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("archived object logs/x: %w", logs.ErrDamaged): 3,
		errors.New("list the archive in the bucket: no"):          1,
	} {
		w, _ := archivedWorld()
		w.fail["search"] = err
		got := w.berth(t, "logs", "staging", "--grep", ".")
		got.wants(t, failed, "error: "+err.Error())
		if n := strings.Count(got.out, "\n"); n != want {
			t.Errorf("%v: %d lines, want %d", err, n, want)
		}
		// Who follows is told at once, too.
		w.berth(t, "logs", "staging", "--since", "1h", "-f").wants(t, failed, "   "+err.Error()+"\n")
	}
}

func TestLogsTakeAgesAndTimes(t *testing.T) {
	w, _ := archivedWorld()
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.Local)
	for _, args := range [][]string{
		{"--since", at.Format(time.RFC3339), "--until", at.Add(time.Minute).UTC().Format(time.RFC3339)},
		{"--since", "2026-01-02 03:04", "--until", "2026-01-02T03:05:00"},
	} {
		w.berth(t, append([]string{"logs", "staging"}, args...)...).wants(t, succeeded, "")
		if !w.asked.From.Equal(at) || !w.asked.Until.Equal(at.Add(time.Minute)) {
			t.Errorf("%q: asked for %+v", args, w.asked)
		}
	}
	before := time.Now().Add(-2 * 24 * time.Hour)
	w.berth(t, "logs", "staging", "--since", "2d").wants(t, succeeded, "")
	if early := w.asked.From.Sub(before); early < 0 || early > time.Minute {
		t.Errorf("asked for %s, %s after what was meant", w.asked.From, early)
	}
	for _, args := range [][]string{
		{"--since", "yesterday"}, {"--since", "-1h"}, {"--since", "-1d"}, {"--until", "1x"}, {"--since", "1h", "--until", "2h"},
		{"--until", "1h", "-f"}, {"--grep", "("}, {"--level", "loud"},
	} {
		if got := w.berth(t, append([]string{"logs", "staging"}, args...)...); got.status != misused {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestLogsArePaintedOnATerminal(t *testing.T) {
	w := newWorld()
	at := time.Now()
	for _, text := range []string{`{"level":"DEBUG","msg":"m"}`, `{"level":"INFO","msg":"m"}`, `{"level":"WARN","msg":"m"}`, `{"level":"ERROR","msg":"m"}`, "panic: x"} {
		w.lines = append(w.lines, logLine(at, "tiny-1", text))
	}
	_, seen := w.inTerminal(t, "", nil, "logs", "staging")
	for _, want := range []string{"\x1b[2mDEBUG\x1b[m m", "  INFO  m", "\x1b[33mWARN \x1b[m m", "\x1b[1;31mERROR\x1b[m m", "\x1b[1;31mpanic: x\x1b[m"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q is missing in %q", want, seen)
		}
	}
}
