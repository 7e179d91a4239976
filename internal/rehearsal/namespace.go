package rehearsal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/platform"
	"berth/internal/progress"
)

const (
	// ofLabel is on the namespace of a rehearsal, with the environment that it is of.
	ofLabel = "berth/rehearsal-of"
	// holderAnnotation says who made it.
	holderAnnotation = "berth/holder"
	// longest is how long a rehearsal may last.
	longest = 2 * time.Hour
	// manager of the namespace is another one than of the deploy, which leaves alone what
	// this one has written.
	manager = "berth-rehearsal"
	// going bounds the wait for what is removed.
	going = 2 * time.Minute
)

// namespaceOf is the namespace of an application's rehearsals of an environment.
func namespaceOf(environment, application string) string {
	name := environment + "-" + application + "-rehearsal"
	if len(name) > 63 {
		sum := sha256.Sum256([]byte(name))
		name = name[:50] + "-" + hex.EncodeToString(sum[:6])
	}
	return name
}

// makeNamespace makes the namespace, which nothing may leave and nobody else enter.
func (h *Rehearsal) makeNamespace(ctx context.Context) error {
	port := 0
	var err error
	if port, err = h.database.BucketPort(ctx); err != nil {
		return err
	}
	namespace := &core.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   h.namespace,
		Labels: map[string]string{own.ManagedBy: own.Manager, ofLabel: h.environment},
		Annotations: map[string]string{
			holderAnnotation:      kube.Operator(),
			own.ExpiresAnnotation: time.Now().Add(longest).UTC().Format(time.RFC3339),
		},
	}}
	if _, err := h.kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: manager}); err != nil {
		return fmt.Errorf("make namespace %s: %w", h.namespace, err)
	}
	for _, policy := range policies(h.namespace, port) {
		if _, err := h.kube.NetworkingV1().NetworkPolicies(h.namespace).Create(ctx, policy, metav1.CreateOptions{FieldManager: manager}); err != nil {
			return fmt.Errorf("make NetworkPolicy %s/%s: %w", h.namespace, policy.Name, err)
		}
	}
	return nil
}

// policies let pods of the namespace talk to each other and to DNS, and the Job that
// restores to the bucket besides. Policies add up, so there are no others.
func policies(namespace string, bucketPort int) []*networking.NetworkPolicy {
	tcp, udp := core.ProtocolTCP, core.ProtocolUDP
	at := func(port int, protocol *core.Protocol) networking.NetworkPolicyPort {
		number := intstr.FromInt(port)
		return networking.NetworkPolicyPort{Port: &number, Protocol: protocol}
	}
	within := []networking.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	both := []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress}
	return []*networking.NetworkPolicy{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "rehearsal", Namespace: namespace, Labels: map[string]string{own.ManagedBy: own.Manager}},
			Spec: networking.NetworkPolicySpec{
				PolicyTypes: both,
				Ingress:     []networking.NetworkPolicyIngressRule{{From: within}},
				Egress: []networking.NetworkPolicyEgressRule{
					{To: within},
					{Ports: []networking.NetworkPolicyPort{at(53, &udp), at(53, &tcp)}},
				},
			},
		},
		{
			ObjectMeta: metav1.ObjectMeta{Name: "restore", Namespace: namespace, Labels: map[string]string{own.ManagedBy: own.Manager}},
			Spec: networking.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{platform.CopyLabel: platform.CopyRestores}},
				PolicyTypes: []networking.PolicyType{networking.PolicyTypeEgress},
				Egress:      []networking.NetworkPolicyEgressRule{{Ports: []networking.NetworkPolicyPort{at(bucketPort, &tcp)}}},
			},
		},
	}
}

// lock is held while a rehearsal of the environment goes on. It is beside the application,
// as the namespace goes with what is in it.
func (h *Rehearsal) lock() kube.Lock {
	return kube.Lock{
		Client: h.kube, Namespace: h.environment, Name: h.config.Name + "-rehearsal", Who: kube.Operator(),
		Duration: 30 * time.Second, Renew: 5 * time.Second,
	}
}

// Sweep removes what a rehearsal has left that was killed; one that goes on stays.
func (h *Rehearsal) Sweep(ctx context.Context, r progress.Reporter) error {
	found, err := h.left(ctx)
	if found == nil || err != nil {
		return err
	}
	if h.lock().Free(ctx) != nil && !own.Expired(found, time.Now()) {
		return nil
	}
	return h.removeLeft(ctx, r)
}

// removeLeft removes what one has left that was killed, if it is there.
func (h *Rehearsal) removeLeft(ctx context.Context, r progress.Reporter) error {
	if found, err := h.left(ctx); found == nil || err != nil {
		return err
	}
	return progress.Run(r, "Remove what a rehearsal of "+h.environment+" has left", func(progress.Step) error { return h.remove(ctx) })
}

// left returns the namespace of a rehearsal, if it is there.
func (h *Rehearsal) left(ctx context.Context) (*core.Namespace, error) {
	found, err := h.kube.CoreV1().Namespaces().Get(ctx, h.namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err): // who may not look has made none
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for namespace %s: %w", h.namespace, err)
	case !own.Owned(found) || found.Labels[ofLabel] != h.environment:
		return nil, fmt.Errorf("there is a namespace %s, and no rehearsal has made it", h.namespace)
	}
	return found, nil
}

// remove removes the namespace with all that is in it, and waits until it and its
// volumes are gone.
func (h *Rehearsal) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, going, fmt.Errorf("namespace %s is not gone within %s", h.namespace, going))
	defer cancel()
	found, err := h.left(ctx)
	if found == nil || err != nil {
		return err
	}
	return kube.RemoveNamespace(ctx, h.kube, h.namespace, found.UID)
}
