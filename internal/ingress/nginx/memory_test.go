package nginx

import "testing"

func TestWorkers(t *testing.T) {
	for _, test := range []struct {
		processors int
		limit      uint64
		want       int
	}{
		{2, 512 << 20, 2}, {64, 512 << 20, 4}, {64, 96 << 20, 1}, {64, 0, 64}, {1, 64 << 30, 1}, {2, 1, 1},
	} {
		if got := Workers(test.processors, test.limit); got != test.want {
			t.Errorf("%d processors and %d bytes: %d workers, want %d", test.processors, test.limit, got, test.want)
		}
	}
}

func TestMemoryFits(t *testing.T) {
	for _, test := range []struct {
		memory Memory
		want   bool
	}{
		{Memory{Used: 1 << 40, Needed: 1 << 40}, true},
		{Memory{Used: 100, Needed: 100, Limit: 200}, true},
		{Memory{Used: 100, Needed: 101, Limit: 200}, false},
	} {
		if got := test.memory.Fits(); got != test.want {
			t.Errorf("%+v: %v", test.memory, got)
		}
	}
}
