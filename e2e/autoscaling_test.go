//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube"
)

// An autoscaler adds a pod to production under load, and turning it on or off
// loses no request.
func testAutoscaling(t *testing.T) {
	c := running(t)
	folder := project(t, func(config object) {
		values(config, object{"autoscaling": object{
			"enabled": true, "minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 5,
		}})
	})
	underLoad(t, "turning the autoscaler on", func() {
		mustBerth(t, "-C", folder, "deploy", "production")
		if deployment, err := c.AppsV1().Deployments("production").Get(t.Context(), "realworld", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		} else if *deployment.Spec.Replicas < 2 {
			t.Errorf("production has %d pods until the autoscaler looks", *deployment.Spec.Replicas)
		}
		took := waitFor(t, "a third pod", 2*time.Minute, func() error { return c.scaledTo(3) })
		t.Logf("the autoscaler has added a pod after %s", took)
	})
	t.Run("status", func(t *testing.T) {
		mustBerth(t, "-C", folder, "status").wants(t, 0, "CPU USED", "MEMORY USED")
		var status struct {
			Nodes        []struct{ Usage *kube.Usage }
			Environments []struct {
				Pods []struct {
					Name  string
					Usage *kube.Usage
				}
			}
		}
		mustBerth(t, "-C", folder, "status", "--json").decode(t, &status)
		for _, node := range status.Nodes {
			if node.Usage == nil || node.Usage.CPU <= 0 || node.Usage.Memory < 100<<20 {
				t.Errorf("a node uses %+v", node.Usage)
			}
		}
		measured := 0
		for _, environment := range status.Environments {
			for _, pod := range environment.Pods {
				if pod.Usage != nil && pod.Usage.Memory > 0 {
					measured++
				}
			}
		}
		if measured < 4 { // the third pod of production may be too young
			t.Errorf("%d pods are measured, want those of both environments and the database", measured)
		}
	})
	underLoad(t, "turning the autoscaler off", func() {
		mustBerth(t, "deploy", "production")
		waitFor(t, "the pods that berth.yaml says", time.Minute, func() error { return c.scaledTo(2) })
	})
	if _, err := c.AutoscalingV2().HorizontalPodAutoscalers("production").Get(t.Context(), "realworld", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the autoscaler is still there: %v", err)
	}
}

// scaledTo returns nil when production runs a number of pods that serve.
func (c *cluster) scaledTo(want int32) error {
	deployment, err := c.AppsV1().Deployments("production").Get(context.Background(), "realworld", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if have := deployment.Status.ReadyReplicas; have != want || deployment.Status.Replicas != want {
		why := ""
		if scaler, err := c.AutoscalingV2().HorizontalPodAutoscalers("production").Get(context.Background(), "realworld", metav1.GetOptions{}); err == nil {
			for _, condition := range scaler.Status.Conditions {
				if condition.Status != core.ConditionTrue {
					why += fmt.Sprintf("; %s is %s: %s", condition.Type, condition.Status, condition.Message)
				}
			}
		}
		return fmt.Errorf("%d of %d pods are ready, want %d%s", have, deployment.Status.Replicas, want, why)
	}
	return nil
}

// measures returns nil when metrics-server has measured the node since a time.
func (c *cluster) measures(since time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	used, err := kube.NodeUsage(ctx, c)
	if err != nil {
		return err
	}
	if used["node-1"].Memory == 0 {
		return fmt.Errorf("node-1 has not been measured since %s", since.Format(time.TimeOnly))
	}
	return nil
}
