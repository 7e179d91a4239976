package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/provider"
)

// OtherClaims returns the volume claims on a cluster that berth.yaml does not
// name, as "namespace/name": those of other applications, and those that an older
// release of this one has left. Removing the cluster removes them too.
func OtherClaims(ctx context.Context, cluster *provider.Cluster, c *config.Config) ([]string, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, err
	}
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list volume claims: %w", err)
	}
	var others []string
	for _, claim := range claims.Items {
		if !isNamed(claim, c) {
			others = append(others, claim.Namespace+"/"+claim.Name)
		}
	}
	slices.Sort(others)
	return others, nil
}

// isNamed reports whether a claim is of the metrics, or of a volume, a service or a
// database that berth.yaml has for its environment.
func isNamed(claim corev1.PersistentVolumeClaim, c *config.Config) bool {
	if claim.Namespace == metricsNamespace && claim.Name == metricsName {
		return c.Metrics.Kept()
	}
	_, ok := c.Environments[claim.Namespace]
	if ok && claim.Labels["app.kubernetes.io/instance"] == c.Name+"-backup" {
		return true // what the bucket does not have yet of the database's log
	}
	if !ok || claim.Labels["app.kubernetes.io/instance"] != c.Name {
		return false
	}
	if strings.HasPrefix(claim.Name, "data-"+c.Name+"-") {
		return true // of a StatefulSet: PostgreSQL or a service
	}
	name, ok := strings.CutPrefix(claim.Name, c.Name+"-")
	_, volume := c.Volumes[name]
	return ok && (volume || name == "data")
}
