package judge

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// TestFisher compares with values that R's fisher.test(alternative = "greater")
// gives.
func TestFisher(t *testing.T) {
	for _, test := range []struct {
		x, n, y, m int
		want       float64
	}{
		{3, 4, 1, 4, 0.2428571428571428}, // the lady tasting tea
		{4, 4, 0, 4, 0.01428571428571429},
		{0, 10, 0, 10, 1},
		{5, 10, 0, 0, 1},
		{1, 1, 0, 1000, 1.0 / 1001},
	} {
		if got := higher(test.x, test.n, test.y, test.m); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%d of %d against %d of %d: %v, want %v", test.x, test.n, test.y, test.m, got, test.want)
		}
	}
}

// behaviour is how a revision answers.
type behaviour struct {
	errors float64       // the part of the requests answered 5xx
	usual  time.Duration // the median time; times are lognormal
	slow   float64       // the part of the requests that take slowTime
	stall  time.Duration // how long, at one moment, every request fails and takes 3 s
}

const slowTime = 1.5

// run is one deploy: traffic at a rate, the revision before for a time, the new one for
// what it is judged.
type run struct {
	random *rand.Rand
	rate   float64
}

// answers are those of one look.
func (r run) answers(b behaviour, during time.Duration, stalled bool) Counts {
	c := Counts{Bounds: bounds, Buckets: make([]int, len(bounds)+1)}
	mean := r.rate * during.Seconds()
	n := max(0, int(math.Round(mean+math.Sqrt(mean)*r.random.NormFloat64())))
	for range n {
		took := b.usual.Seconds() * math.Exp(0.8*r.random.NormFloat64())
		if r.random.Float64() < b.slow {
			took = slowTime
		}
		failed := r.random.Float64() < b.errors
		if stalled {
			failed, took = true, 3
		}
		if failed {
			c.Errors++
		}
		c.Requests++
		at, _ := slices.BinarySearch(bounds, took)
		c.Buckets[at]++
	}
	return c
}

func sum(a, b Counts) Counts {
	b.Requests += a.Requests
	b.Errors += a.Errors
	for i, n := range a.Buckets {
		b.Buckets[i] += n
	}
	return b
}

// judge returns the verdict and when it was spoken.
func (r run) judge(was, is behaviour, before, during time.Duration) (*Worse, time.Duration) {
	j := New(r.answers(was, before, false), during)
	var all Counts
	stall := time.Duration(r.random.Int64N(int64(during)))
	for at := time.Duration(0); at < during; at += Every {
		stalled := is.stall > 0 && at >= stall && at < stall+is.stall
		all = sum(all, r.answers(is, Every, stalled))
		if worse := j.Look(all); worse != nil {
			return worse, at + Every
		}
	}
	return nil, 0
}

var (
	rates  = []float64{0.2, 1, 5, 20, 50}
	rounds = flag.Int("rounds", 50, "how many deploys of each kind are simulated")
)

// TestGoodRevisionsStay judges thousands of deploys of a revision that is as good as the
// one before.
func TestGoodRevisionsStay(t *testing.T) {
	total, reverted := 0, 0
	for name, b := range map[string]behaviour{
		"clean":                {usual: 20 * time.Millisecond},
		"errors of its own":    {usual: 20 * time.Millisecond, errors: 0.01},
		"many errors":          {usual: 20 * time.Millisecond, errors: 0.10},
		"slow":                 {usual: 300 * time.Millisecond},
		"slow ones":            {usual: 20 * time.Millisecond, slow: 0.012},
		"a moment of failures": {usual: 20 * time.Millisecond, stall: 4 * time.Second},
	} {
		was := b
		was.stall = 0
		for _, rate := range rates {
			for i := range *rounds {
				r := run{rand.New(rand.NewPCG(uint64(i), uint64(rate*10))), rate}
				before := time.Duration(5+r.random.IntN(115)) * time.Second
				total++
				if worse, at := r.judge(was, b, before, time.Minute); worse != nil {
					reverted++
					t.Logf("%s, %g requests a second, round %d: %+v after %s", name, rate, i, worse, at)
				}
			}
		}
	}
	t.Logf("%d of %d good deploys were called worse", reverted, total)
	if float64(reverted) > falseAlarms*float64(total) {
		t.Errorf("%d of %d good deploys were called worse", reverted, total)
	}
}

// TestBadRevisionsGo measures how soon a worse one is found.
func TestBadRevisionsGo(t *testing.T) {
	good := behaviour{usual: 20 * time.Millisecond}
	for _, test := range []struct {
		name string
		is   behaviour
		rate float64
		want time.Duration // in 99 of 100 deploys
		as   string
	}{
		{"5 % errors", behaviour{usual: good.usual, errors: 0.05}, 50, 20 * time.Second, MoreErrors},
		{"10 % errors, few requests", behaviour{usual: good.usual, errors: 0.10}, 10, time.Minute, MoreErrors},
		{"2 % errors", behaviour{usual: good.usual, errors: 0.02}, 50, time.Minute, MoreErrors},
		{"every request", behaviour{usual: good.usual, errors: 1}, 2, 20 * time.Second, MoreErrors},
		{"10 % slow", behaviour{usual: good.usual, slow: 0.10}, 50, 30 * time.Second, Slower},
		{"3 % slow", behaviour{usual: good.usual, slow: 0.03}, 50, time.Minute, Slower},
		{"all slower", behaviour{usual: 400 * time.Millisecond}, 20, 30 * time.Second, Slower},
	} {
		var times []time.Duration
		for i := range *rounds {
			r := run{rand.New(rand.NewPCG(uint64(i), 7)), test.rate}
			if worse, at := r.judge(good, test.is, 20*time.Second, time.Minute); worse != nil && worse.Reason == test.as {
				times = append(times, at)
			} else if worse != nil {
				t.Errorf("%s: %+v", test.name, worse)
			}
		}
		slices.Sort(times)
		if need := *rounds * 99 / 100; len(times) < need || times[need-1] > test.want {
			t.Errorf("%s at %g requests a second: %d of %d found, after %v", test.name, test.rate, len(times), *rounds, quantiles(times))
			continue
		}
		t.Logf("%s at %g requests a second: %d of %d found, half of them after %s, 99 %% after %s", test.name, test.rate,
			len(times), *rounds, times[len(times)/2], times[*rounds*99/100-1])
	}
}

func quantiles(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	return fmt.Sprint(times[0], times[len(times)/2], times[len(times)-1])
}

// TestNothingToCompare says nothing of a revision whose predecessor had no requests, nor of
// one that has none.
func TestNothingToCompare(t *testing.T) {
	j := New(Counts{}, time.Minute)
	for i := range 30 {
		if worse := j.Look(Counts{Requests: 100 * i, Errors: 100 * i, Bounds: bounds, Buckets: make([]int, len(bounds)+1)}); worse != nil {
			t.Fatal(worse)
		}
	}
	j = New(Counts{Requests: 1000}, time.Minute)
	for range 30 {
		if worse := j.Look(Counts{}); worse != nil {
			t.Fatal(worse)
		}
	}
}

// TestVerdict says the figures.
func TestVerdict(t *testing.T) {
	j := New(Counts{Requests: 900}, time.Minute)
	var worse *Worse
	for i := 1; i <= 4; i++ {
		worse = j.Look(Counts{Requests: 60 * i, Errors: 3 * i})
	}
	want := Worse{Reason: MoreErrors, Is: "12 of 240 requests (5.0 %)", Was: "0 of 900", What: "answered 5xx"}
	if worse == nil || *worse != want {
		t.Errorf("got %+v, want %+v", worse, want)
	}
}
