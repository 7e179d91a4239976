package watch

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"berth/internal/alert"
	"berth/internal/rollout"
)

func TestMessagesSayWhatTheDeploySays(t *testing.T) {
	code := int32(1)
	entry := Entry{Namespace: "production", Title: "web is in a crash loop", Since: now.Add(-12 * time.Second), Told: now}
	broke := Change{Entry: entry, Problem: Problem{
		Title: "web is in a crash loop", Detail: "0 of 2 pods ready",
		Reasons: []rollout.Reason{{Object: "pod web-5d8c-x2x4z", Container: "app", Reason: crashLoop, ExitCode: &code, Restarts: 3,
			Log: []string{"connect to db:5432", "panic: @everyone <!channel> [x](https://evil.example)"}, Hint: "env and secrets are in berth.yaml"}},
	}}
	want := alert.Message{
		Title: "✗ production: web is in a crash loop",
		Text: `0 of 2 pods ready
pod web-5d8c-x2x4z, container app: CrashLoopBackOff, exit code 1, 3 restarts
    connect to db:5432
    panic: @` + "\u2060" + `everyone ‹!channel› [x] (https://evil.example)
hint: env and secrets are in berth.yaml
seen at 11:59:48 UTC, told at 12:00:00 UTC`,
	}
	if diff := cmp.Diff(want, write(broke, "local", now)); diff != "" {
		t.Errorf("the message (-want +got):\n%s", diff)
	}
	entry.Gone = now.Add(time.Minute)
	want = alert.Message{Title: "✓ production: healed: web is in a crash loop", Text: "since 12:01:00 UTC; it was told at 12:00:00 UTC"}
	if diff := cmp.Diff(want, write(Change{Entry: entry, Healed: true}, "local", now.Add(2*time.Minute))); diff != "" {
		t.Errorf("the message of its end (-want +got):\n%s", diff)
	}
}

// The title is the subject of a mail.
func TestATitleIsOneLine(t *testing.T) {
	broke := Change{Problem: Problem{Title: "the certificate of a.example\r\nBcc: x\n ends"}}
	if got := write(broke, "local", now).Title; got != "✗ local: the certificate of a.example Bcc: x ends" {
		t.Errorf("got %q", got)
	}
}

func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("ö", 5000)
	m := write(Change{Problem: Problem{Title: long, Detail: long, Reasons: []rollout.Reason{
		{Object: long, Log: strings.Split(strings.Repeat(long+"\n", 50), "\n"), Hint: long}, {Object: long}, {Object: long}}}}, "local", now)
	if n := utf8.RuneCountInString(m.Title); n > longestLine {
		t.Errorf("the title has %d characters", n)
	}
	if n := utf8.RuneCountInString(m.Text); n > longestText+3 {
		t.Errorf("the text has %d characters", n)
	}
	if !strings.Contains(m.Text, "told at") {
		t.Error("its end is gone")
	}
}
