package release

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth/internal/fault"
	"berth/internal/rollout"
)

func TestFailedSaysWhatServesNow(t *testing.T) {
	cause := errors.New("no route to host")
	tests := []struct {
		failed *Failed
		want   string
	}{
		{&Failed{Environment: "production", Revision: 1, Cause: cause}, "no route to host; nothing served before"},
		{&Failed{Environment: "production", Revision: 5, Cause: cause, To: 3, Back: 6}, "no route to host; revision 3 serves again (as revision 6)"},
		{&Failed{Environment: "production", Revision: 5, Cause: cause, To: 3, Stuck: errors.New("gone")}, "no route to host; going back to revision 3 failed too: gone"},
		{&Failed{Environment: "production", Revision: 5, Cause: fmt.Errorf("wait: %w", context.Canceled), To: 3, Back: 6}, "interrupted before it served; revision 3"},
	}
	for _, test := range tests {
		if got := test.failed.Error(); !strings.Contains(got, test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if !errors.Is(tests[0].failed, cause) {
		t.Error("the cause is not in the chain")
	}
}

// The hint that all reasons have stands at the end, where it is read first;
// hints that differ stand each beside its reason.
func TestFailedGivesEachHintOnce(t *testing.T) {
	const port, memory = "health and port are in berth.yaml", "resources.memory, in berth.yaml, is its limit"
	unhealthy := rollout.Reason{Object: "pod web-1", Reason: "Unhealthy", Hint: port}
	killed := rollout.Reason{Object: "pod worker-1", Reason: "OOMKilled", Hint: memory}
	tests := []struct {
		name    string
		reasons []rollout.Reason
		summary string
		report  []string
	}{
		{"one", []rollout.Reason{unhealthy}, port, nil},
		{"the same", []rollout.Reason{unhealthy, unhealthy}, port, nil},
		{"none and one", []rollout.Reason{{Object: "pod web-2", Reason: "Error"}, killed}, memory, nil},
		{"two", []rollout.Reason{unhealthy, killed}, "", []string{"hint: " + port, "hint: " + memory}},
		{"none", []rollout.Reason{{Object: "pod web-2", Reason: "Error"}}, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &Failed{Environment: "staging", Reasons: test.reasons}
			if got := fault.Hint(f.Summary()); got != test.summary {
				t.Errorf("the summary's hint is %q, want %q", got, test.summary)
			}
			if got := regexp.MustCompile("hint: .*").FindAllString(f.Report(), -1); !slices.Equal(got, test.report) {
				t.Errorf("the report has %q, want %q", got, test.report)
			}
		})
	}
}
