package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"berth/internal/kube/own"

	batch "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// holderAnnotation names the process that a session's Job is for, as
// user@host/pid.
const holderAnnotation = "berth/session"

func (c *Client) holder() string { return c.who + "/" + strconv.Itoa(os.Getpid()) }

// removeStrays removes the Jobs of sessions that are nobody's any more: those
// that have ended, and those of processes of this machine that are gone. The
// cluster does so by itself, only later.
func (c *Client) removeStrays(ctx context.Context) error {
	jobs, err := c.kube.BatchV1().Jobs(c.environment).List(ctx, metav1.ListOptions{
		LabelSelector: instanceLabel + "=" + c.app + "," + componentLabel + "=" + component + "," + own.ManagedBy + "=" + own.Manager,
	})
	if err != nil {
		return fmt.Errorf("look for sessions that ended: %w", err)
	}
	along := metav1.DeletePropagationBackground
	for _, job := range jobs.Items {
		if !c.stray(&job, alivePID) {
			continue
		}
		err := c.kube.BatchV1().Jobs(c.environment).Delete(ctx, job.Name, metav1.DeleteOptions{
			PropagationPolicy: &along, Preconditions: metav1.NewUIDPreconditions(string(job.UID)),
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("remove Job %s, whose session has ended: %w", job.Name, err)
		}
	}
	return nil
}

// stray reports whether a session's Job is nobody's any more, as far as can be
// told from this machine.
func (c *Client) stray(job *batch.Job, alive func(pid int) bool) bool {
	if job.Status.Succeeded+job.Status.Failed > 0 {
		return true
	}
	pid, ok := strings.CutPrefix(job.Annotations[holderAnnotation], c.who+"/")
	number, err := strconv.Atoi(pid)
	return ok && err == nil && !alive(number)
}

func alivePID(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
