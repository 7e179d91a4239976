package watch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A step of a story says for how many seconds there are which problems, as
// "key:kind", and whether a deploy is under way.
type step struct {
	seconds   int
	problems  string
	deploying bool
	// restart has the watch begin again with what it saved.
	restart bool
}

// play has a ledger look once a second, and returns what was told.
func play(t *testing.T, steps []step) []string {
	t.Helper()
	at := now
	l := NewLedger(at.Add(-time.Hour))
	told := []string{}
	for _, s := range steps {
		if s.restart {
			text, err := json.Marshal(l.Entries)
			if err != nil {
				t.Fatal(err)
			}
			l = NewLedger(at)
			if err := json.Unmarshal(text, &l.Entries); err != nil {
				t.Fatal(err)
			}
		}
		var problems []Problem
		for _, text := range strings.Fields(s.problems) {
			key, kind, _ := strings.Cut(text, ":")
			kind, once := strings.CutSuffix(kind, "!")
			problems = append(problems, Problem{Key: key, Kind: kind, Namespace: "production", Title: key, Once: once})
		}
		for range s.seconds {
			at = at.Add(time.Second)
			for _, change := range l.Look(problems, map[string]bool{"production": s.deploying}, at) {
				what := "broke"
				if change.Healed {
					what = "healed"
				}
				told = append(told, fmt.Sprintf("%s %s %s", at.Sub(now), change.Key, what))
			}
		}
	}
	return told
}

func TestWhatIsToldAndWhen(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"what heals by itself is not told", []step{{10, "web:NotReady", false, false}, {60, "", false, false}}, nil},
		{"what stays is told once, and its end", []step{{200, "web:NotReady", false, false}, {200, "", false, false}},
			[]string{"16s web broke", "3m36s web healed"}},
		{"a crash loop within 30 s", []step{{100, "web:CrashLoopBackOff", false, false}}, []string{"6s web broke"}},
		{"a crash loop that runs for moments is one", []step{
			{30, "web:CrashLoopBackOff", false, false}, {40, "", false, false}, {30, "web:CrashLoopBackOff", false, false},
			{40, "", false, false}, {30, "web:CrashLoopBackOff", false, false}},
			[]string{"6s web broke"}},
		{"what comes and goes has to be away for longer each time", []step{
			{20, "web:NotReady", false, false}, {30, "", false, false}, {30, "web:NotReady", false, false},
			{25, "", false, false}, {30, "web:NotReady", false, false}, {100, "", false, false}},
			[]string{"16s web broke", "36s web healed", "1m6s web broke", "2m46s web healed"}},
		{"another kind of the same cause is not told again", []step{{60, "web:ImagePullBackOff", false, false}, {60, "web:CrashLoopBackOff", false, false}},
			[]string{"16s web broke"}},
		{"two causes are two messages", []step{{60, "mailer:NotReady web:NotReady", false, false}}, []string{"16s mailer broke", "16s web broke"}},
		{"an event has no end", []step{{10, "import:JobFailed!", false, false}, {200, "", false, false}}, []string{"4s import broke"}},

		{"nothing during a deploy, nor of what it takes back", []step{{300, "web:CrashLoopBackOff", true, false}, {300, "", false, false}}, nil},
		{"what is left after a deploy", []step{{300, "web:CrashLoopBackOff", true, false}, {60, "web:CrashLoopBackOff", false, false}},
			[]string{"5m6s web broke"}},
		{"a deploy that heals", []step{{60, "web:CrashLoopBackOff", false, false}, {100, "web:CrashLoopBackOff", true, false}, {100, "", true, false}, {100, "", false, false}},
			[]string{"6s web broke", "5m21s web healed"}},
		{"what breaks while a deploy begins is the deploy's", []step{{10, "web:NotReady", false, false}, {60, "web:NotReady", true, false}, {60, "", false, false}}, nil},

		{"a restart tells nothing twice", []step{{60, "web:NotReady", false, false}, {60, "web:NotReady", false, true}}, []string{"16s web broke"}},
		{"a restart misses no end", []step{{60, "web:NotReady", false, false}, {60, "", false, true}}, []string{"16s web broke", "1m16s web healed"}},
		{"a restart just before it is told", []step{{10, "web:NotReady", false, false}, {60, "web:NotReady", false, true}}, []string{"30s web broke"}},
		{"a machine that begins takes a moment", []step{{15, "web:CrashLoopBackOff", false, true}, {60, "", false, false}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == nil {
				test.want = []string{}
			}
			if diff := cmp.Diff(test.want, play(t, test.steps)); diff != "" {
				t.Errorf("what was told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALedgerHasAnEnd(t *testing.T) {
	l := NewLedger(now.Add(-time.Hour))
	var problems []Problem
	for i := range 3 * mostEntries {
		problems = append(problems, Problem{Key: fmt.Sprint(i), Kind: notReady})
	}
	l.Look(problems, nil, now)
	if len(l.Entries) != mostEntries {
		t.Errorf("there are %d entries", len(l.Entries))
	}
}
