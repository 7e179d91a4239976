package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
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
