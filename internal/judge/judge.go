// Package judge tells whether a new revision answers clearly worse than the one
// before it: with more errors, or slower.
//
// It takes counts and returns a verdict, and knows neither a cluster nor a clock.
// Package release counts and waits, package traffic reads the counters.
// docs/judging.md gives the reasons for its numbers.
package judge

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Counts are answers since some moment.
type Counts struct {
	// Requests that were answered, and Errors: those answered 5xx.
	Requests, Errors int
	// Bounds are upper bounds of times in seconds, in rising order, and Buckets
	// how many answers took how long: one more than there are bounds, for what
	// took longer than the last.
	Bounds  []float64
	Buckets []int
}

// since returns the counts since earlier ones.
func (c Counts) since(earlier Counts) Counts {
	c.Requests -= earlier.Requests
	c.Errors -= earlier.Errors
	c.Buckets = slices.Clone(c.Buckets)
	for i := range min(len(c.Buckets), len(earlier.Buckets)) {
		c.Buckets[i] -= earlier.Buckets[i]
	}
	return c
}

// above counts the answers that took longer than a bound.
func (c Counts) above(bound int) (n int) {
	for i := bound + 1; i < len(c.Buckets); i++ {
		n += c.Buckets[i]
	}
	return n
}

const (
	// falseAlarms is how often a revision as good as the one before is called
	// worse, at most and by chance alone: one deploy in a thousand.
	falseAlarms = 0.001
	// moreErrors and timesErrors are how much higher a rate of errors has to be
	// to matter: by a hundredth of all requests, and twice what it was.
	moreErrors, timesErrors = 0.01, 2
	// erringLooks is in how many looks errors have to be seen. What is over after
	// a few seconds, as a database that was restarted, is no revision's doing.
	erringLooks = 4
	// tail is the part of the answers that may take longer than the 99th
	// percentile.
	tail = 0.01
	// slowEnough is the time in seconds below which an answer is fast enough,
	// whatever it took before.
	slowEnough = 0.25
	// warmUp is how long the answers' times do not count: caches are cold.
	warmUp = 10 * time.Second
	// slowLooks is how many looks there have to be before times are judged; more
	// than half of them have to be slow. A machine that is busy for a moment
	// makes all answers of that moment slow.
	slowLooks = 5
)

// Every is the time between two looks.
const Every = 2 * time.Second

// Judge compares a new revision with the one before, look by look.
type Judge struct {
	before Counts // how the revision before answered

	significance float64
	looks        int
	erring       int
	last         Counts
	warm         Counts // when times began to count
	warmLooks    int    // since then, with requests
	slow         map[int]int
}

// New returns a judge that compares a new revision with the answers of the one before,
// in looks every [Every] during a time.
func New(before Counts, during time.Duration) *Judge {
	looks := max(1, int(during/Every))
	// Two questions at each look: Bonferroni's correction keeps the chance that
	// any of them is answered wrongly below falseAlarms.
	return &Judge{before: before, significance: falseAlarms / float64(2*looks), slow: map[int]int{}}
}

// Worse is why a revision is clearly worse.
type Worse struct {
	// Reason is MoreErrors or Slower.
	Reason string
	// Was and Is say how the revision before answered and how this one does, as
	// "12 of 240 requests (5.0 %)".
	Was, Is string
	// What is what those requests have in common: "answered 5xx".
	What string
}

// The reasons of a verdict.
const (
	MoreErrors = "MoreErrors"
	Slower     = "Slower"
)

// Look takes all that a new revision has answered so far, and returns nil unless
// that is clearly worse.
func (j *Judge) Look(now Counts) *Worse {
	since := now.since(j.last)
	j.last = now
	j.looks++
	if since.Errors > 0 {
		j.erring++
	}
	if worse := j.errs(now); worse != nil {
		return worse
	}
	if time.Duration(j.looks-1)*Every <= warmUp {
		j.warm = now
		return nil
	}
	return j.slower(now, since)
}

func (j *Judge) errs(now Counts) *Worse {
	was, is := rate(j.before.Errors, j.before.Requests), rate(now.Errors, now.Requests)
	if j.erring < erringLooks || is < was+moreErrors || is < was*timesErrors ||
		higher(now.Errors, now.Requests, j.before.Errors, j.before.Requests) > j.significance {
		return nil
	}
	return &Worse{
		Reason: MoreErrors, What: "answered 5xx",
		Is: share(now.Errors, now.Requests), Was: share(j.before.Errors, j.before.Requests),
	}
}

// slower looks at each bound that the 99th percentile before was at most half of:
// the present one is above it where more than a hundredth of the answers are. Each
// bound is a question of its own to the test.
func (j *Judge) slower(now, since Counts) *Worse {
	if since.Requests == 0 {
		return nil
	}
	j.warmLooks++
	warm := now.since(j.warm)
	for i, bound := range now.Bounds {
		if rate(since.above(i), since.Requests) >= tail {
			j.slow[i]++
		}
		if i == 0 || bound < slowEnough || rate(j.before.above(i-1), j.before.Requests) > tail || now.Bounds[i-1] > bound/2 {
			continue
		}
		if j.warmLooks < slowLooks || 2*j.slow[i] <= j.warmLooks || rate(warm.above(i), warm.Requests) <= tail ||
			higher(warm.above(i), warm.Requests, j.before.above(i), j.before.Requests) > j.significance/float64(len(now.Bounds)) {
			continue
		}
		return &Worse{
			Reason: Slower, What: fmt.Sprintf("answered after more than %s", seconds(bound)),
			Is: share(warm.above(i), warm.Requests), Was: share(j.before.above(i), j.before.Requests),
		}
	}
	return nil
}

// higher returns the p-value of Fisher's exact test, one-sided: how probable it is,
// were both rates the same, that at least x of n and so at most y of m are what is
// counted. It is exact for the smallest numbers, where tests by a normal or
// chi-squared distribution are not.
func higher(x, n, y, m int) float64 {
	all := x + y
	p := 0.0
	for k := x; k <= min(all, n); k++ {
		term := math.Exp(choose(n, k) + choose(m, all-k) - choose(n+m, all))
		p += term
		if term < p*1e-12 {
			break
		}
	}
	return min(p, 1)
}

// choose is the logarithm of the binomial coefficient.
func choose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	return factorial(n) - factorial(k) - factorial(n-k)
}

func factorial(n int) float64 {
	log, _ := math.Lgamma(float64(n) + 1)
	return log
}

func rate(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// share says how many of how many requests, with the percentage where there are
// any.
func share(part, whole int) string {
	if part == 0 {
		return fmt.Sprintf("0 of %d", whole)
	}
	return fmt.Sprintf("%d of %d requests (%.1f %%)", part, whole, 100*rate(part, whole))
}

func seconds(s float64) string { return time.Duration(s * float64(time.Second)).String() }
