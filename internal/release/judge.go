package release

import (
	"context"
	"fmt"
	"time"

	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/judge"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/rollout"
	"berth/internal/traffic"
)

// enoughBefore is how many requests to the revision before are needed since the
// deploy began; where there were fewer, all that its pods ever answered count.
const enoughBefore = 1000

// judging looks at the answers of a new revision, beside those of the one before it.
type judging struct {
	client      *Client
	environment string
	before, new int // revisions
	during      time.Duration
	reporter    progress.Reporter

	// began are the counters when the deploy did, and old the names of the pods
	// that there were then, by their addresses.
	began map[string]traffic.Endpoint
	old   map[string]string
}

// judging prepares the judging of the next revision while the one before serves
// alone. It returns nil where there is none, and says why where berth.yaml asks for
// it: a deploy does not fail when the counters cannot be read.
func (c *Client) judging(ctx context.Context, environment string, past []*helmrelease.Release, r progress.Reporter) *judging {
	during, before := c.config.JudgeOf(environment), serving(past)
	if during == 0 || before == nil || len(c.config.Environments[environment].Hosts) == 0 {
		return nil
	}
	if c.cluster.Ingress == nil {
		r.Note(fmt.Sprintf("the answers of the new revision are not judged: %v", ErrForeignIngress))
		return nil
	}
	j := &judging{
		client: c, environment: environment, during: during, reporter: r,
		before: before.Version, new: version(newest(past)) + 1, old: map[string]string{},
	}
	present, earlier, err := j.client.webPods(ctx, j.environment)
	if err == nil {
		j.began, err = c.traffic(ctx, environment)
	}
	if err != nil {
		r.Note(fmt.Sprintf("the answers of the new revision are not judged: %v", err))
		return nil
	}
	for _, pod := range append(present, earlier...) {
		j.old[pod.Status.PodIP] = pod.Name
	}
	return j
}

// watch looks at the answers of the new revision, which serves alone by now. It
// returns [*rollout.Error] when they are clearly worse. A caller who does not want to
// wait leaves the revision as it is.
func (j *judging) watch(ctx, held context.Context, step progress.Step) error {
	present, _, err := j.client.webPods(ctx, j.environment)
	if err != nil {
		j.reporter.Note(fmt.Sprintf("revision %d is not judged: %v", j.new, err))
		return nil
	}
	replaced := false
	for _, pod := range present {
		if j.old[pod.Status.PodIP] != pod.Name {
			replaced = true
			delete(j.old, pod.Status.PodIP) // another pod's now
		}
	}
	if !replaced {
		return nil // these pods are the ones from before
	}
	var judged *judge.Judge
	var before judge.Counts
	var answered tally
	looks := max(1, int(j.during/judge.Every))
	for look := 0; look < looks; look++ {
		if err := poll.Sleep(ctx, j.client.timeouts.look); err != nil {
			if context.Cause(held) != nil {
				return err
			}
			j.reporter.Note(fmt.Sprintf("revision %d stays: its judging was interrupted after %s", j.new, &answered))
			return nil
		}
		now, err := j.client.traffic(ctx, j.environment)
		if err != nil {
			step.Detail("judging: the ingress' counters cannot be read, trying again")
			continue
		}
		if present, _, err := j.client.webPods(ctx, j.environment); err == nil {
			for _, pod := range present {
				if j.old[pod.Status.PodIP] == "" {
					answered.follow(pod.Status.PodIP)
				}
			}
		}
		if judged == nil {
			before = j.answeredBefore(now)
			judged = judge.New(before, j.during)
		}
		answered.add(now)
		step.Detail(fmt.Sprintf("judging revision %d: %s", j.new, &answered))
		if worse := judged.Look(answered.counts()); worse != nil {
			return &rollout.Error{Reasons: []rollout.Reason{{
				Object: fmt.Sprintf("revision %d", j.new), Reason: worse.Reason,
				Message: fmt.Sprintf("%s to it were %s, %s to revision %d", worse.Is, worse.What, worse.Was, j.before),
				Hint:    "see what it logged: berth logs " + j.environment + " --since 5m",
			}}}
		}
	}
	switch {
	case judged == nil:
		j.reporter.Note(fmt.Sprintf("revision %d is not judged: the ingress' counters could not be read", j.new))
	case answered.sum.Requests() == 0:
		j.reporter.Note(fmt.Sprintf("revision %d got no requests within %s and cannot be judged", j.new, j.during))
	case before.Requests == 0:
		j.reporter.Note(fmt.Sprintf("revision %d has nothing to be compared with, as revision %d got no requests: %s in %s", j.new, j.before, &answered, j.during))
	default:
		j.reporter.Note(fmt.Sprintf("revision %d is not clearly worse than revision %d: %s in %s", j.new, j.before, &answered, j.during))
	}
	return nil
}

// answeredBefore are the answers of the revision before: since the deploy began, and
// where those are few, all of its pods'.
func (j *judging) answeredBefore(now map[string]traffic.Endpoint) judge.Counts {
	var recent, all tally
	for address := range j.old {
		recent.follow(address)
		all.follow(address)
	}
	recent.add(j.began)
	recent.sum = traffic.Endpoint{}
	recent.add(now)
	if recent.sum.Requests() >= enoughBefore {
		return recent.counts()
	}
	// The counters of pods that have gone are forgotten in time.
	all.add(j.began)
	all.add(now)
	return all.counts()
}
