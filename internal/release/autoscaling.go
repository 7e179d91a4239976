package release

import (
	"context"
	"fmt"
	"strings"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"

	"berth/internal/fault"
	"berth/internal/kube"
)

// scalable returns an error for values that ask for autoscaling on a cluster
// that measures nothing: the autoscaler would do nothing, without a word. A
// source of metrics that is only not ready yet will be.
func (c *Client) scalable(environment string, values map[string]any) error {
	if !autoscaled(values) {
		return nil
	}
	measured, err := kube.Serves(c.kube, kube.MetricsGroupVersion)
	if err != nil || measured {
		return err
	}
	hint := "install metrics-server (https://github.com/kubernetes-sigs/metrics-server), or set replicas instead"
	switch c.config.Provider {
	case "local":
		hint = "metrics-server comes with: berth up"
	case "digitalocean":
		hint = "metrics-server comes with: berth init"
	}
	return fault.WithHint(fault.Usage("%s: autoscaling.enabled does nothing on cluster %s, which offers no resource metrics", environment, c.cluster.Name), "%s", hint)
}

// autoscaled reports whether Helm values ask for autoscaling.
func autoscaled(values map[string]any) bool {
	settings, _ := values["autoscaling"].(map[string]any)
	on, _ := settings["enabled"].(bool)
	return on
}

// handReplicas settles who says how many pods there are before a revision of these
// values is applied: the autoscaler or Helm.
func (c *Client) handReplicas(ctx context.Context, environment string, values map[string]any) error {
	if autoscaled(values) {
		return c.keepReplicas(ctx, environment)
	}
	return c.removeAutoscaler(ctx, environment)
}

// removeAutoscaler removes the release's autoscaler. Helm would do so after it has set
// the number of pods, and the autoscaler set its own between the two.
func (c *Client) removeAutoscaler(ctx context.Context, environment string) error {
	scalers := c.kube.AutoscalingV2().HorizontalPodAutoscalers(environment)
	found, err := scalers.Get(ctx, c.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && found.Annotations["meta.helm.sh/release-name"] != c.config.Name {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the autoscaler: %w", err)
	}
	if err := scalers.Delete(ctx, c.config.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &found.UID}}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the autoscaler: %w", err)
	}
	return nil
}

// replicasKeeper is the field manager that holds a Deployment's replicas.
const replicasKeeper = "berth-replicas"

// keepReplicas has a Deployment keep its number of pods when a revision with an
// autoscaler comes, which says nothing of it: what Helm alone has set goes with
// Helm's saying so, and Kubernetes would run one pod until the autoscaler's next
// look.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
func (c *Client) keepReplicas(ctx context.Context, environment string) error {
	found, err := c.kube.AppsV1().Deployments(environment).Get(ctx, c.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the number of pods: %w", err)
	}
	if found.Spec.Replicas == nil || !ownsReplicas(found) {
		return nil
	}
	keep := appsapply.Deployment(c.config.Name, environment).
		WithSpec(appsapply.DeploymentSpec().WithReplicas(*found.Spec.Replicas))
	if _, err := c.kube.AppsV1().Deployments(environment).Apply(ctx, keep, metav1.ApplyOptions{FieldManager: replicasKeeper, Force: true}); err != nil {
		return fmt.Errorf("keep the number of pods: %w", err)
	}
	return nil
}

// ownsReplicas reports whether an apply, as Helm's is, set the number of pods.
// Where the autoscaler did, it stays.
func ownsReplicas(found *apps.Deployment) bool {
	for _, entry := range found.ManagedFields {
		if entry.Operation == metav1.ManagedFieldsOperationApply && entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), `"f:replicas"`) {
			return true
		}
	}
	return false
}

// autoscalerWarning says why an environment's autoscaler does nothing; empty
// where it works and where there is none.
func (c *Client) autoscalerWarning(ctx context.Context, environment string) (string, error) {
	found, err := c.kube.AutoscalingV2().HorizontalPodAutoscalers(environment).Get(ctx, c.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the autoscaler: %w", err)
	}
	for _, condition := range found.Status.Conditions {
		if condition.Type == autoscaling.ScalingActive && condition.Status == core.ConditionFalse {
			return fmt.Sprintf("the autoscaler leaves the number of pods as it is: %s", condition.Message), nil
		}
	}
	return "", nil
}
