package backup

import (
	"strings"
	"testing"
	"time"
)

// IDs sort by age, and are recognized again.
func TestIDs(t *testing.T) {
	early := NewID(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	late := NewID(time.Date(2026, 11, 4, 5, 6, 7, 0, time.FixedZone("", 3600)))
	if !strings.HasPrefix(early, "20260304_050607_") || !strings.HasPrefix(late, "20261104_040607_") || early >= late {
		t.Errorf("IDs are %s and %s", early, late)
	}
	for id, good := range map[string]bool{early: true, late: true, "": false, "../" + early: false, early + "/x": false, "20260304_050607": false} {
		if validID.MatchString(id) != good {
			t.Errorf("%q is an ID: %v", id, !good)
		}
	}
}
