package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/poll"
)

// Rollout waits until the workloads of a release serve with their present
// templates and with nothing else, or until it is clear that they will not.
type Rollout struct {
	Client    API
	Namespace string
	Workloads []Workload
	// Poll is the time between two looks. Deadline bounds the wait, without the time
	// in which images are fetched.
	Poll, Deadline time.Duration
	// Detail is told how far it is.
	Detail func(string)

	grace grace
	// stuck is since when a StatefulSet's pod of an earlier template has not
	// been ready.
	stuck map[string]time.Time
	// asked is when a pod's log was last read for where it listens.
	asked map[string]time.Time
}

// Error is why a rollout will not succeed.
type Error struct{ Reasons []Reason }

func (e *Error) Error() string {
	var all []string
	for _, r := range e.Reasons {
		all = append(all, r.String())
	}
	return strings.Join(all, "; ")
}

// Wait returns nil once everything serves, *Error when it will not, or the
// cause of ctx's end.
func (r *Rollout) Wait(ctx context.Context) error {
	r.grace = grace{started: time.Now(), first: map[string]time.Time{}}
	r.stuck, r.asked = map[string]time.Time{}, map[string]time.Time{}
	looked := time.Now()
	end := looked.Add(r.Deadline)
	return poll.Until(ctx, r.Poll, func(ctx context.Context) (bool, error) {
		s, err := Take(ctx, r.Client, r.Namespace)
		now := time.Now()
		since := now.Sub(looked)
		looked = now
		if err != nil {
			if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || time.Now().After(end) {
				return false, fmt.Errorf("look at the pods: %w", err)
			}
			// An API server that is away comes back; the pods serve meanwhile.
			r.Detail("the cluster does not answer, trying again")
			return false, nil
		}
		missing := r.missing(s)
		if len(missing) == 0 {
			return true, nil
		}
		if slices.ContainsFunc(r.Workloads, s.pulling) {
			missing = append(missing, "an image is being pulled")
			end = end.Add(since)
		}
		r.Detail(strings.Join(missing, ", "))
		reasons := r.grace.lost(s, r.Workloads, now)
		if len(reasons) > 0 && !s.growing(reasons) {
			return false, &Error{reasons}
		}
		if reasons := r.misplaced(ctx, s); len(reasons) > 0 {
			return false, &Error{reasons}
		}
		if now.After(end) {
			return false, &Error{late(s, r.Workloads, missing, r.Deadline)}
		}
		return false, r.unstick(ctx, s)
	})
}

// listenTime is how long a program may run without listening on its port before
// its log is asked where it does, and again after that.
const listenTime = 10 * time.Second

// misplaced tells of programs that run, refuse requests, and say themselves that
// they listen elsewhere: they will not come to listen here.
func (r *Rollout) misplaced(ctx context.Context, s *Snapshot) []Reason {
	now := time.Now()
	var reasons []Reason
	for _, w := range r.Workloads {
		for _, reason := range s.reasons(w, r.grace.started, now) {
			if !reason.refused || now.Sub(r.grace.started) < listenTime || now.Sub(r.asked[reason.Pod]) < listenTime {
				continue
			}
			r.asked[reason.Pod] = now
			lines := readLog(ctx, r.Client, r.Namespace, &reason, false)
			if where := listensElsewhere(lines, reason.port); where != "" {
				reason.Message += "; " + where
				reason.refused = false
				reasons = append(reasons, reason)
			}
		}
	}
	return reasons
}

// growing reports whether pods have no node only because a cluster autoscaler
// is adding one, which takes minutes.
func (s *Snapshot) growing(reasons []Reason) bool {
	for _, reason := range reasons {
		if reason.Reason != core.PodReasonUnschedulable {
			return false
		}
	}
	return slices.ContainsFunc(s.events, func(e core.Event) bool {
		return e.Reason == "TriggeredScaleUp" && slices.ContainsFunc(reasons, func(r Reason) bool { return r.Pod == e.InvolvedObject.Name })
	})
}

// missing says what still keeps the workloads from serving; nothing when they
// do.
func (r *Rollout) missing(s *Snapshot) []string {
	var missing []string
	for _, w := range r.Workloads {
		if text := s.Missing(w); text != "" {
			missing = append(missing, text)
		}
	}
	if len(missing) > 0 {
		return missing
	}
	return s.young(r.Workloads, r.grace.started, time.Now())
}

// unstick deletes a StatefulSet's pod of an earlier template that does not get
// ready. The controller waits for it before it touches any other, so that a
// template which fixes the error would never reach it.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
func (r *Rollout) unstick(ctx context.Context, s *Snapshot) error {
	for _, w := range r.Workloads {
		if w.Kind != "StatefulSet" {
			continue
		}
		_, earlier := s.PodsOf(w)
		for _, pod := range earlier {
			if Ready(pod) || s.statefulSets[w.Name].Status.ObservedGeneration < s.statefulSets[w.Name].Generation {
				delete(r.stuck, string(pod.UID))
				continue
			}
			since, known := r.stuck[string(pod.UID)]
			if !known {
				r.stuck[string(pod.UID)] = time.Now()
				continue
			}
			if time.Since(since) < 10*r.Poll {
				continue
			}
			err := r.Client.DeletePod(ctx, r.Namespace, pod.Name, metav1.DeleteOptions{
				Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
			})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return fmt.Errorf("replace pod %s, which does not get ready: %w", pod.Name, err)
			}
			delete(r.stuck, string(pod.UID))
		}
	}
	return nil
}

// Serving reports whether workloads serve right now, and what is missing.
func Serving(ctx context.Context, client API, namespace string, ws []Workload) ([]string, error) {
	s, err := Take(ctx, client, namespace)
	if err != nil {
		return nil, err
	}
	return (&Rollout{Workloads: ws}).missing(s), nil
}
