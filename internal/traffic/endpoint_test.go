package traffic

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSinceAndAdd(t *testing.T) {
	early := Endpoint{Classes: [6]int{2: 10}, Bounds: []float64{0.1}, Buckets: []int{10, 0}}
	late := Endpoint{Classes: [6]int{2: 12, 5: 3}, Bounds: []float64{0.1}, Buckets: []int{11, 4}}
	more := Endpoint{Classes: [6]int{2: 2, 5: 3}, Bounds: []float64{0.1}, Buckets: []int{1, 4}}
	for _, test := range []struct {
		name      string
		got, want Endpoint
	}{
		{"since", late.Since(early), more},
		{"from the first one on", late.Since(Endpoint{}), late},
		{"of an address that is another pod's", early.Since(late), early},
		{"both", early.Add(more), late},
		{"of nothing", Endpoint{}.Add(early), early},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
}

func TestWithin(t *testing.T) {
	e := Endpoint{Bounds: []float64{0.1, 0.5}, Buckets: []int{98, 1, 1}}
	if e.Within(0.5) != 0.1 || e.Within(0.99) != 0.5 || !math.IsInf(e.Within(1), 1) || (Endpoint{}).Within(0.99) != 0 {
		t.Errorf("got %v, %v, %v", e.Within(0.5), e.Within(0.99), e.Within(1))
	}
}
