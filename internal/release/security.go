package release

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube"
)

// podSecurity returns the Pod Security Standard of an environment's namespace:
// "restricted" where berth.yaml says the user, and "baseline" where images run
// as the user that they name, which may be root. Where one application of the
// namespace needs "baseline", it stays: the others' pods ask for no more than
// before.
func (c *Client) podSecurity(ctx context.Context, environment string) (map[string]string, error) {
	if c.config.User == "" {
		return kube.Baseline, nil
	}
	found, err := c.kube.CoreV1().Namespaces().Get(ctx, environment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return kube.Restricted, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for namespace %s: %w", environment, err)
	}
	if !kube.Enforces(found, kube.Baseline) {
		return kube.Restricted, nil
	}
	others, err := c.otherReleases(ctx, environment)
	if err != nil || len(others) > 0 {
		return kube.Baseline, err
	}
	return kube.Restricted, nil
}
