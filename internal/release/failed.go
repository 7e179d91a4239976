package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"berth/internal/fault"
	"berth/internal/images"
	"berth/internal/rollout"
)

// Failed is the error of a deploy or rollback that did not end in a serving
// revision: why, and what serves now.
type Failed struct {
	Environment string `json:"environment"`
	// Revision is the one that failed.
	Revision int    `json:"revision"`
	Image    string `json:"image"`
	// Reasons say why; empty when it was no pod's fault, as when the caller
	// gave up. Then Cause says it alone.
	Reasons []rollout.Reason `json:"reasons,omitempty"`
	// Events are the warnings about the pods, newest last.
	Events []string `json:"events,omitempty"`
	Cause  error    `json:"-"`
	// Back is the revision that was made of the last good one and serves now;
	// zero when there was none, or when Stuck says why it does not serve.
	Back int `json:"back,omitempty"`
	// To is the revision that was gone back to.
	To    int   `json:"to,omitempty"`
	Stuck error `json:"-"`
	// Served says that it came to serve, and was judged by its answers.
	Served bool `json:"served,omitempty"`
	// Restart says that it was no new revision, but new pods of the one that serves.
	Restart bool `json:"restart,omitempty"`
}

// Error says in one line what failed and what serves now.
func (f *Failed) Error() string {
	if f.Restart {
		return fmt.Sprintf("the restart of %s failed: %s; %s", f.Environment, f.why(), f.Now())
	}
	return fmt.Sprintf("revision %d of %s failed: %s; %s", f.Revision, f.Environment, f.why(), f.Now())
}

// Summary says what failed and what serves now, without the reasons that Report
// has. Its hint is the one that all reasons have; where they differ, Report has
// each beside its reason.
func (f *Failed) Summary() error {
	err := fmt.Errorf("revision %d of %s failed; %s", f.Revision, f.Environment, f.Now())
	if hints := f.hints(); len(hints) == 1 {
		return fault.WithHint(err, "%s", hints[0])
	}
	return err
}

// hints are the different ones of all reasons.
func (f *Failed) hints() []string {
	var all []string
	for _, r := range f.Reasons {
		if r.Hint != "" && !slices.Contains(all, r.Hint) {
			all = append(all, r.Hint)
		}
	}
	return all
}

// why is the first reason in a few words.
func (f *Failed) why() string {
	if len(f.Reasons) == 0 {
		if errors.Is(f.Cause, context.Canceled) {
			return "interrupted before it served"
		}
		return f.Cause.Error()
	}
	text := f.Reasons[0].String()
	if more := len(f.Reasons) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Now says what serves since.
func (f *Failed) Now() string {
	switch {
	case f.Restart && f.Stuck != nil:
		return fmt.Sprintf("going back to the pods from before failed too: %s", f.Stuck)
	case f.Restart:
		return "the old pods serve on"
	case f.Stuck != nil:
		return fmt.Sprintf("going back to revision %d failed too: %s", f.To, f.Stuck)
	case f.Back != 0:
		return fmt.Sprintf("revision %d serves again (as revision %d)", f.To, f.Back)
	default:
		return "nothing served before, so it is left as it is; correct it and deploy again"
	}
}

// Report is the full story in lines: each reason with the lines of its container's
// log, and the events. What serves now is in Summary.
func (f *Failed) Report() string {
	var b strings.Builder
	switch {
	case f.Restart:
		fmt.Fprintf(&b, "new pods of %s (revision %d, %s) do not serve\n", f.Environment, f.Revision, images.Short(f.Image))
	case f.Served:
		fmt.Fprintf(&b, "revision %d (%s) of %s answers worse than the one before\n", f.Revision, images.Short(f.Image), f.Environment)
	default:
		fmt.Fprintf(&b, "revision %d (%s) of %s does not serve\n", f.Revision, images.Short(f.Image), f.Environment)
	}
	if len(f.Reasons) == 0 {
		fmt.Fprintf(&b, "\n%s\n", f.why())
	}
	several := len(f.hints()) > 1
	for _, r := range f.Reasons {
		fmt.Fprintf(&b, "\n%s\n", r)
		for _, line := range r.Log {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		if several && r.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", r.Hint)
		}
	}
	if len(f.Events) > 0 {
		b.WriteString("\nevents:\n")
		for _, e := range f.Events {
			fmt.Fprintf(&b, "    %s\n", e)
		}
	}
	return b.String()
}

func (f *Failed) Unwrap() []error {
	var all []error
	for _, err := range []error{f.Cause, f.Stuck} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}
