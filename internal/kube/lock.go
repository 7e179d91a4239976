package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"berth/internal/fault"
	"berth/internal/kube/own"
	"berth/internal/poll"
)

// ErrLocked is returned while somebody else holds a lock, and ErrLockLost when
// somebody took it away from the work under way.
var (
	ErrLocked   = errors.New("locked")
	ErrLockLost = errors.New("the lock was lost")
)

// Operator names who runs the command, for locks and histories: "mira@laptop".
func Operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// Lock is a Lease, as client-go's leader election uses it, for one holder who
// asks once.
type Lock struct {
	Client          kubernetes.Interface
	Namespace, Name string
	// Who holds it, for people: "mira@laptop".
	Who string
	// Duration is how long the Lease is good for without being renewed, Renew
	// the time between two renewals.
	Duration, Renew time.Duration
}

// Do does work while holding the lock. It returns [ErrLocked] at once when
// somebody else does.
//
// Work gets two contexts. The first ends with the caller's and when the lock is
// lost. The second ends only when the lock is lost: it is for the way back,
// which must be gone even after the caller gave up, and must not when somebody
// else is at work already.
func (lock Lock) Do(ctx context.Context, work func(ctx, held context.Context) error) error {
	l := &lease{
		Lock:   lock,
		leases: lock.Client.CoordinationV1().Leases(lock.Namespace),
		holder: fmt.Sprintf("%s/%d %s", lock.Who, os.Getpid(), rand.Text()[:8]),
	}
	if err := l.acquire(ctx); err != nil {
		return err
	}
	held, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lose(nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(held, func() { cancel(context.Cause(held)) })

	kept := make(chan struct{})
	go func() {
		defer close(kept)
		l.keep(held, lose)
	}()
	err := work(ctx, held)
	lost := context.Cause(held)
	lose(nil)
	<-kept
	if lost != nil {
		return withLoss(err, lost)
	}
	return errors.Join(err, l.release(context.WithoutCancel(ctx)))
}

// Wait does work while holding the lock, and waits for it while somebody else
// does: for changes that take seconds, of what several applications share.
// Waiting is told each time who holds the lock.
func (lock Lock) Wait(ctx context.Context, waiting func(held error), work func(context.Context) error) error {
	for {
		did := false
		err := lock.Do(ctx, func(ctx, _ context.Context) error {
			did = true
			return work(ctx)
		})
		if did || !errors.Is(err, ErrLocked) {
			return err
		}
		waiting(err)
		if err := poll.Sleep(ctx, lock.Renew/5); err != nil {
			return err
		}
	}
}

// withLoss adds to an error why the lock was lost, unless it says so already.
func withLoss(err, lost error) error {
	if errors.Is(err, ErrLockLost) {
		return err
	}
	return errors.Join(err, lost)
}

// Holder says who holds the lock, or "".
func (lock Lock) Holder(ctx context.Context) (string, error) {
	found, err := lock.held(ctx)
	if found == nil || err != nil {
		return "", err
	}
	who, _, _ := strings.Cut(holder(found), " ")
	return who, nil
}

// Free returns [ErrLocked], with who holds the lock, or nil where Do would
// probably get it: for work that would be in vain.
func (lock Lock) Free(ctx context.Context) error {
	found, err := lock.held(ctx)
	if found == nil || err != nil {
		return err
	}
	return heldBy(found)
}

// held returns the Lease where somebody holds it.
func (lock Lock) held(ctx context.Context) (*coordination.Lease, error) {
	found, err := lock.Client.CoordinationV1().Leases(lock.Namespace).Get(ctx, lock.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the lock: %w", err)
	}
	if holder(found) == "" || !fresh(found, time.Now()) || worker(found).gone() {
		return nil, nil
	}
	return found, nil
}

// lease is a Lock that is being held.
type lease struct {
	Lock
	leases coordinationclient.LeaseInterface
	holder string
	// written is the object as it was last written.
	written *coordination.Lease
}

// acquire takes the lock or fails at once. A holder that was a process of this
// machine and has ended is known to be gone. Where the lease seems to have run
// out it looks twice: the holder's clock may differ from this one, and a holder
// that lives renews it meanwhile.
func (l *lease) acquire(ctx context.Context) error {
	found, err := l.leases.Get(ctx, l.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return l.create(ctx)
	}
	if err != nil {
		return fmt.Errorf("look at the lock: %w", err)
	}
	if holder(found) != "" && !worker(found).gone() {
		if fresh(found, time.Now()) {
			return heldBy(found)
		}
		if err := poll.Sleep(ctx, 2*l.Renew); err != nil {
			return err
		}
		again, err := l.leases.Get(ctx, l.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return l.create(ctx)
		}
		if err != nil {
			return fmt.Errorf("look at the lock: %w", err)
		}
		if holder(again) != holder(found) || !again.Spec.RenewTime.Equal(found.Spec.RenewTime) {
			return heldBy(again)
		}
		found = again
	}
	found.Spec = l.spec(time.Now())
	metav1.SetMetaDataAnnotation(&found.ObjectMeta, processAnnotation, string(self()))
	written, err := l.leases.Update(ctx, found, metav1.UpdateOptions{FieldManager: own.Manager})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return l.contended(ctx)
	}
	if err != nil {
		return fmt.Errorf("take over the lock: %w", err)
	}
	l.written = written
	return nil
}

func (l *lease) create(ctx context.Context) error {
	written, err := l.leases.Create(ctx, &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: l.Name, Labels: map[string]string{own.ManagedBy: own.Manager},
			Annotations: map[string]string{processAnnotation: string(self())},
		},
		Spec: l.spec(time.Now()),
	}, metav1.CreateOptions{FieldManager: own.Manager})
	if apierrors.IsAlreadyExists(err) {
		return l.contended(ctx)
	}
	if err != nil {
		return fmt.Errorf("take the lock: %w", err)
	}
	l.written = written
	return nil
}

// contended says who was quicker.
func (l *lease) contended(ctx context.Context) error {
	found, err := l.leases.Get(ctx, l.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("somebody else took the lock: %w", ErrLocked)
	}
	return heldBy(found)
}

func (l *lease) spec(now time.Time) coordination.LeaseSpec {
	stamp := metav1.NewMicroTime(now)
	seconds := int32(max(1, l.Duration/time.Second))
	return coordination.LeaseSpec{
		HolderIdentity: &l.holder, LeaseDurationSeconds: &seconds, AcquireTime: &stamp, RenewTime: &stamp,
	}
}

// keep renews the lock until ctx ends. It calls lose when somebody else holds
// it. A renewal that is late, or fails, is no loss: the Lease is this holder's
// until somebody takes it, and a holder that cannot reach the API server to
// renew it cannot do any harm either.
func (l *lease) keep(ctx context.Context, lose context.CancelCauseFunc) {
	pause := l.Renew
	for poll.Sleep(ctx, pause) == nil {
		err := l.renew(ctx)
		pause = l.Renew
		if errors.Is(err, ErrLockLost) {
			lose(err)
			return
		}
		if err != nil {
			pause = l.Renew / 5 // somebody may have taken it meanwhile
		}
	}
}

// renew makes the lease good for another while.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	for {
		next := l.written.DeepCopy()
		stamp := metav1.NewMicroTime(time.Now())
		next.Spec.RenewTime = &stamp
		written, err := l.leases.Update(ctx, next, metav1.UpdateOptions{FieldManager: own.Manager})
		if err == nil {
			l.written = written
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
		if err := l.reread(ctx); err != nil {
			return err
		}
	}
}

// reread tells a lock that is still held, as after an update whose answer got
// lost, from one that is not.
func (l *lease) reread(ctx context.Context) error {
	found, err := l.leases.Get(ctx, l.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: somebody deleted the Lease %s", ErrLockLost, l.Name)
	case err != nil:
		return fmt.Errorf("look at the lock: %w", err)
	case holder(found) != l.holder:
		return fmt.Errorf("%w: %s holds it now", ErrLockLost, holder(found))
	}
	l.written = found
	return nil
}

// release gives the lock back, if it is still this holder's. A renewal under
// way, which was broken off, may have changed the Lease without anybody being
// told, also just now.
func (l *lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := l.leases.Delete(ctx, l.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{
			UID: &l.written.UID, ResourceVersion: &l.written.ResourceVersion,
		}})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if apierrors.IsConflict(err) {
			if err = l.reread(ctx); err == nil {
				continue
			}
			if errors.Is(err, ErrLockLost) {
				return nil
			}
		}
		return fmt.Errorf("give back the lock: %w", err)
	}
}

// processAnnotation tells who holds a Lease to others on the same machine.
const processAnnotation = "berth/process"

// worker is the process that holds a Lease.
func worker(l *coordination.Lease) process { return process(l.Annotations[processAnnotation]) }

func holder(l *coordination.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// fresh reports whether a lease was renewed so recently that its holder must
// be taken to be alive. A time far in the future counts as little as one long
// ago: some clock is wrong.
func fresh(l *coordination.Lease, now time.Time) bool {
	if l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
		return false
	}
	lasts := time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	return now.Sub(l.Spec.RenewTime.Time).Abs() < lasts
}

func heldBy(l *coordination.Lease) error {
	who, _, _ := strings.Cut(holder(l), " ")
	since := "a moment ago"
	if l.Spec.AcquireTime != nil {
		since = l.Spec.AcquireTime.Local().Format(time.DateTime)
	}
	lasts := time.Duration(0)
	if l.Spec.LeaseDurationSeconds != nil {
		lasts = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	return fault.WithHint(
		fmt.Errorf("%s: %s has been at work here since %s: %w", l.Namespace, who, since, ErrLocked),
		"wait for it to end; if that process is gone, the lock frees itself within %s", lasts)
}
