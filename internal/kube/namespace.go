package kube

import (
	"context"
	"fmt"
	"maps"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/kube/own"
	"berth/internal/poll"
)

// The labels by which the API server refuses pods below a Pod Security
// Standard, and warns of what a later version refuses.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/
const (
	enforce        = "pod-security.kubernetes.io/enforce"
	enforceVersion = "pod-security.kubernetes.io/enforce-version"
	warn           = "pod-security.kubernetes.io/warn"
	audit          = "pod-security.kubernetes.io/audit"
)

// The Pod Security Standards for applications: Restricted for those that say
// which user they run as, Baseline for images that say it themselves.
var (
	Restricted = map[string]string{
		enforce: "restricted", enforceVersion: "latest", warn: "restricted", audit: "restricted",
	}
	Baseline = map[string]string{
		enforce: "baseline", enforceVersion: "latest", warn: "baseline", audit: "baseline",
	}
)

// Enforces reports whether a namespace enforces a Pod Security Standard.
func Enforces(namespace *core.Namespace, standard map[string]string) bool {
	return namespace.Labels[enforce] == standard[enforce]
}

// Enforce is a Pod Security Standard for a part of the platform.
func Enforce(level string) map[string]string { return map[string]string{enforce: level} }

// EnsureNamespace makes a namespace, or gives it its labels again. One that is
// there without berth's label is used as it is: its labels are its owner's.
func EnsureNamespace(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
	found, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("look for namespace %s: %w", name, err)
	case found.DeletionTimestamp != nil:
		return fmt.Errorf("namespace %s is being deleted: try again when it is gone", name)
	case !own.Owned(found):
		return nil
	}
	return ApplyNamespace(ctx, client, name, labels)
}

// ApplyNamespace makes a namespace berth's own, whosever it was.
func ApplyNamespace(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
	all := map[string]string{own.ManagedBy: own.Manager}
	maps.Copy(all, labels)
	_, err := client.CoreV1().Namespaces().Apply(ctx, coreapply.Namespace(name).WithLabels(all),
		metav1.ApplyOptions{FieldManager: own.Manager, Force: true})
	if err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNamespace deletes a namespace with all that is in it. It does not wait.
func DeleteNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	err := client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

// RemoveNamespace removes the namespace of a UID with all that is in it, and waits until
// it and its volumes are gone. Its pods get a second to end: it is for namespaces whose
// data is not worth stopping in order for.
func RemoveNamespace(ctx context.Context, client kubernetes.Interface, name string, uid types.UID) error {
	namespaces := client.CoreV1().Namespaces()
	err := namespaces.Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(uid))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	hurry(ctx, client, name)
	return poll.Until(ctx, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		now, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) && (err != nil || now.UID == uid) {
			return false, nil
		}
		volumes, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return apierrors.IsForbidden(err), nil
		}
		for _, v := range volumes.Items {
			// One that is to be kept is the StorageClass owner's business.
			if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == name && v.Spec.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimDelete {
				return false, nil
			}
		}
		return true, nil
	})
}

// hurry ends the pods of a namespace that is on its way out, and deletes the claims that
// they use. The namespace's controller begins five seconds after the deletion. Pods that
// are there still it comes back for after half of their termination grace period, and
// claims, which stay for as long as a pod uses them, after eight seconds: so it had better
// find neither. What fails here only takes longer.
func hurry(ctx context.Context, client kubernetes.Interface, namespace string) {
	pods, claims := client.CoreV1().Pods(namespace), client.CoreV1().PersistentVolumeClaims(namespace)
	if list, err := pods.List(ctx, metav1.ListOptions{}); err == nil {
		for _, pod := range list.Items {
			_ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))})
		}
	}
	if list, err := claims.List(ctx, metav1.ListOptions{}); err == nil {
		for _, claim := range list.Items {
			_ = claims.Delete(ctx, claim.Name, metav1.DeleteOptions{})
		}
	}
}
