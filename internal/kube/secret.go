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

	"berth/internal/fault"
	"berth/internal/kube/own"
)

// Secret is a Secret that berth makes.
type Secret struct {
	Namespace, Name string
	// Type is Opaque when it is empty.
	Type        core.SecretType
	Data        map[string][]byte
	Labels      map[string]string
	Annotations map[string]string
}

// Apply writes the Secret, with the data that it has and no other.
func (s Secret) Apply(ctx context.Context, client kubernetes.Interface) error {
	labels := map[string]string{own.ManagedBy: own.Manager}
	maps.Copy(labels, s.Labels)
	if s.Type == "" {
		s.Type = core.SecretTypeOpaque
	}
	secret := coreapply.Secret(s.Name, s.Namespace).WithType(s.Type).WithData(s.Data).
		WithLabels(labels).WithAnnotations(s.Annotations)
	_, err := client.CoreV1().Secrets(s.Namespace).Apply(ctx, secret, metav1.ApplyOptions{FieldManager: own.Manager, Force: true})
	if err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}

// OwnSecret returns a Secret that berth made, or nil when there is none.
func OwnSecret(ctx context.Context, client kubernetes.Interface, namespace, name string) (*core.Secret, error) {
	found, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
	if !own.Owned(found) {
		return nil, fault.WithHint(
			fmt.Errorf("there is a Secret %s/%s that berth did not make", namespace, name),
			"rename it, or give it to berth: kubectl -n %s label secret %s %s=%s", namespace, name, own.ManagedBy, own.Manager)
	}
	return found, nil
}
