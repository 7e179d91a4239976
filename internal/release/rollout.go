package release

import (
	"context"
	"fmt"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// rollout waits until the workloads of a release serve with their present
// templates and with nothing else, or until it is clear that they will not.
type rollout struct {
	client    kubernetes.Interface
	namespace string
	workloads []workload
	poll      time.Duration
	deadline  time.Duration
	// detail is told how far it is.
	detail func(string)

	patience patience
	// stuck is since when a StatefulSet's pod of an earlier template has not
	// been ready.
	stuck map[string]time.Time
}

// trouble is why a rollout will not succeed.
type trouble struct{ reasons []Reason }

func (t *trouble) Error() string {
	var all []string
	for _, r := range t.reasons {
		all = append(all, r.String())
	}
	return strings.Join(all, "; ")
}

// wait returns nil once everything serves, *trouble when it will not, or the
// cause of ctx's end.
func (r *rollout) wait(ctx context.Context) error {
	r.patience = patience{started: time.Now(), first: map[string]time.Time{}}
	r.stuck = map[string]time.Time{}
	end := time.Now().Add(r.deadline)
	for {
		s, err := look(ctx, r.client, r.namespace)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
			return fmt.Errorf("look at the pods: %w", err)
		case err != nil && time.Now().After(end):
			return fmt.Errorf("look at the pods: %w", err)
		case err != nil:
			// An API server that is away comes back; the pods serve meanwhile.
			r.detail("the cluster does not answer, trying again")
		default:
			missing := r.missing(s)
			if len(missing) == 0 {
				return nil
			}
			r.detail(strings.Join(missing, ", "))
			reasons := r.patience.lost(s, r.workloads, time.Now())
			if len(reasons) > 0 && !r.growing(ctx, reasons) {
				return &trouble{reasons}
			}
			if time.Now().After(end) {
				return &trouble{late(s, r.workloads, missing, r.deadline)}
			}
			if err := r.unstick(ctx, s); err != nil {
				return err
			}
		}
		if err := sleep(ctx, r.poll); err != nil {
			return err
		}
	}
}

// growing reports whether pods have no node only because a cluster autoscaler
// is adding one, which takes minutes.
func (r *rollout) growing(ctx context.Context, reasons []Reason) bool {
	for _, reason := range reasons {
		if reason.Reason != core.PodReasonUnschedulable {
			return false
		}
	}
	events, err := r.client.CoreV1().Events(r.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=TriggeredScaleUp"})
	if err != nil {
		return false
	}
	for _, e := range events.Items {
		for _, reason := range reasons {
			if e.Reason == "TriggeredScaleUp" && e.InvolvedObject.Name == reason.pod {
				return true
			}
		}
	}
	return false
}

// missing says what still keeps the workloads from serving; nothing when they
// do.
func (r *rollout) missing(s *sight) []string {
	var missing []string
	for _, w := range r.workloads {
		if text := s.missing(w); text != "" {
			missing = append(missing, text)
		}
	}
	return missing
}

// missing says what still keeps one workload from serving, or "".
func (s *sight) missing(w workload) string {
	present, earlier := s.podsOf(w)
	want, observed, done := 0, false, false
	switch w.Kind {
	case "Deployment":
		d := s.deployments[w.Name]
		if d == nil {
			return w.String() + " is not there"
		}
		want = replicas(d.Spec.Replicas)
		observed = d.Status.ObservedGeneration >= d.Generation && s.newReplicaSet(d) != nil
		// Available, not only ready: a pod counts once it was ready for
		// minReadySeconds.
		done = int(d.Status.UpdatedReplicas) == want && int(d.Status.Replicas) == want && int(d.Status.AvailableReplicas) == want
	case "StatefulSet":
		set := s.statefulSets[w.Name]
		if set == nil {
			return w.String() + " is not there"
		}
		want = replicas(set.Spec.Replicas)
		observed = set.Status.ObservedGeneration >= set.Generation
		done = int(set.Status.UpdatedReplicas) == want && int(set.Status.AvailableReplicas) == want
	}
	if !observed {
		return w.Name + " is being taken up"
	}
	ready := 0
	routed := s.routed()
	unrouted := 0
	for _, pod := range present {
		if podReady(pod) {
			ready++
			if s.selected(pod) && !routed[pod.Name] {
				unrouted++
			}
		}
	}
	switch {
	case ready < want:
		return fmt.Sprintf("%s: %d of %d pods ready", w.Name, ready, want)
	case unrouted > 0:
		return fmt.Sprintf("%s: %d of %d pods get requests", w.Name, want-unrouted, want)
	case len(earlier) > 0:
		return fmt.Sprintf("%s: %d of %d pods ready, %s of the last revision leaving", w.Name, ready, want, count(len(earlier), "pod"))
	case !done:
		return fmt.Sprintf("%s: %d of %d pods ready, settling", w.Name, ready, want)
	}
	return ""
}

// unstick deletes a StatefulSet's pod of an earlier template that does not get
// ready. The controller waits for it before it touches any other, so that a
// template which mends the trouble would never reach it.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
func (r *rollout) unstick(ctx context.Context, s *sight) error {
	for _, w := range r.workloads {
		if w.Kind != "StatefulSet" {
			continue
		}
		_, earlier := s.podsOf(w)
		for _, pod := range earlier {
			if podReady(pod) || s.statefulSets[w.Name].Status.ObservedGeneration < s.statefulSets[w.Name].Generation {
				delete(r.stuck, string(pod.UID))
				continue
			}
			since, known := r.stuck[string(pod.UID)]
			if !known {
				r.stuck[string(pod.UID)] = time.Now()
				continue
			}
			if time.Since(since) < 10*r.poll {
				continue
			}
			err := r.client.CoreV1().Pods(r.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
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

// serving reports whether workloads serve right now, and what is missing.
func serving(ctx context.Context, client kubernetes.Interface, namespace string, ws []workload) ([]string, error) {
	s, err := look(ctx, client, namespace)
	if err != nil {
		return nil, err
	}
	return (&rollout{workloads: ws}).missing(s), nil
}

func replicas(wanted *int32) int {
	if wanted == nil {
		return 1
	}
	return int(*wanted)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
