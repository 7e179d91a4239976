package kube

import (
	"context"
	"fmt"
	"maps"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
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
	case !Owned(found):
		return nil
	}
	return ApplyNamespace(ctx, client, name, labels)
}

// ApplyNamespace makes a namespace berth's own, whosever it was.
func ApplyNamespace(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
	all := map[string]string{ManagedBy: Manager}
	maps.Copy(all, labels)
	_, err := client.CoreV1().Namespaces().Apply(ctx, coreapply.Namespace(name).WithLabels(all),
		metav1.ApplyOptions{FieldManager: Manager, Force: true})
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

// Owned reports whether berth made an object.
func Owned(object metav1.Object) bool { return object.GetLabels()[ManagedBy] == Manager }
