package release

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"berth/internal/fault"
)

// scalable returns an error for values that ask for autoscaling on a cluster
// that measures nothing: the autoscaler would do nothing, without a word.
func (c *Client) scalable(environment string, values map[string]any) error {
	autoscaling, _ := values["autoscaling"].(map[string]any)
	if on, _ := autoscaling["enabled"].(bool); !on {
		return nil
	}
	_, err := c.kube.Discovery().ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1")
	if apierrors.IsNotFound(err) {
		return fault.WithHint(fault.Usage("%s: autoscaling.enabled does nothing on cluster %s, which offers no resource metrics", environment, c.cluster.Name),
			"set replicas instead, or install metrics-server")
	}
	if err != nil {
		return fmt.Errorf("look for the cluster's resource metrics: %w", err)
	}
	return nil
}
