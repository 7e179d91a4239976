// Package fault gives an error the two things that a person needs besides the
// error itself: what to do next, and whether the mistake was in the call.
//
// The hint stays apart from the message, so that errors can be wrapped and
// logged as usual while the command prints the hint on a line of its own.
package fault

import (
	"errors"
	"fmt"
)

// WithHint returns err with a hint: one sentence or one command that fixes it.
// It returns nil when err is nil.
func WithHint(err error, format string, arguments ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, arguments...)}
}

// Hint returns the outermost hint in err's chain, or "".
func Hint(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// Usage returns an error for a call that cannot be meant: a wrong flag, a
// missing argument, a line of berth.yaml that makes no sense. The command
// exits with status 2 for it.
func Usage(format string, arguments ...any) error {
	return &usage{fmt.Errorf(format, arguments...)}
}

// IsUsage reports whether err is a mistake in the call.
func IsUsage(err error) bool {
	var u *usage
	return errors.As(err, &u)
}

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

type usage struct{ error }

func (u *usage) Unwrap() error { return errors.Unwrap(u.error) }
