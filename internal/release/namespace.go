package release

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
)

// podSecurity are the labels that make the API server refuse pods below the
// Pod Security Standard "restricted", and warn of what a later version refuses.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/
var podSecurity = map[string]string{
	"pod-security.kubernetes.io/enforce":         "restricted",
	"pod-security.kubernetes.io/enforce-version": "latest",
	"pod-security.kubernetes.io/warn":            "restricted",
	"pod-security.kubernetes.io/audit":           "restricted",
}

// ensureNamespace makes an environment's namespace. One that is there already
// without berth's label is used as it is: its labels are its owner's affair.
func (c *Client) ensureNamespace(ctx context.Context, name string) error {
	found, err := c.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("look for namespace %s: %w", name, err)
	case found.DeletionTimestamp != nil:
		return fmt.Errorf("namespace %s is being deleted: try again when it is gone", name)
	case found.Labels[managedBy] != manager:
		return nil
	}
	labels := map[string]string{managedBy: manager}
	for k, v := range podSecurity {
		labels[k] = v
	}
	_, err = c.kube.CoreV1().Namespaces().Apply(ctx, coreapply.Namespace(name).WithLabels(labels),
		metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}
