package config

import (
	"testing"

	"berth/internal/fault"
)

func TestParseSize(t *testing.T) {
	if got, err := ParseSize("s-2vcpu-4gb"); err != nil || got != (Size{CPUs: 2, Memory: 4 << 30}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "s-0vcpu-4gb", "s-2vcpu-4GB", "s-2vcpu-4gb-intel", "2vcpu-4gb", "s-2vcpu-99999gb", "s-02vcpu-4gb"} {
		if _, err := ParseSize(bad); !fault.IsUsage(err) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
