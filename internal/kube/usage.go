package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
)

// MetricsGroupVersion is the API of resource metrics, which metrics-server
// serves or something in its place.
const MetricsGroupVersion = "metrics.k8s.io/v1beta1"

// Serves reports whether a cluster has an API, as "metrics.k8s.io/v1beta1", be it
// ready or not.
func Serves(client kubernetes.Interface, groupVersion string) (bool, error) {
	_, err := client.Discovery().ServerResourcesForGroupVersion(groupVersion)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err == nil, apierrors.IsServiceUnavailable(err):
		return true, nil
	}
	return false, fmt.Errorf("look for the API %s: %w", groupVersion, err)
}

// Usage is what a node or a pod uses now: over the last seconds, as the cluster
// measures it.
type Usage struct {
	// CPU is in thousandths of a core, Memory in bytes.
	CPU    int64 `json:"cpuMillicores"`
	Memory int64 `json:"memoryBytes"`
}

// Add returns both together.
func (u Usage) Add(other Usage) Usage {
	return Usage{u.CPU + other.CPU, u.Memory + other.Memory}
}

// NodeUsage is what each node uses, by its name.
func NodeUsage(ctx context.Context, client kubernetes.Interface) (map[string]Usage, error) {
	return usage(ctx, client, "nodes")
}

// PodUsage is what each pod of a namespace uses, by its name. A pod that is
// young or has ended has none yet, or none any more.
func PodUsage(ctx context.Context, client kubernetes.Interface, namespace string) (map[string]Usage, error) {
	return usage(ctx, client, "namespaces/"+namespace+"/pods")
}

// amounts are those of a NodeMetrics, or of a container of a PodMetrics.
type amounts struct {
	CPU    resource.Quantity `json:"cpu"`
	Memory resource.Quantity `json:"memory"`
}

func (a amounts) usage() Usage { return Usage{a.CPU.MilliValue(), a.Memory.Value()} }

func usage(ctx context.Context, client kubernetes.Interface, path string) (map[string]Usage, error) {
	content, err := client.Discovery().RESTClient().Get().AbsPath("/apis", MetricsGroupVersion, path).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("read resource metrics: %w", err)
	}
	var list struct {
		Items []struct {
			Metadata   struct{ Name string }
			Usage      amounts
			Containers []struct{ Usage amounts }
		}
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("read resource metrics: %w", err)
	}
	found := make(map[string]Usage, len(list.Items))
	for _, item := range list.Items {
		sum := item.Usage.usage()
		for _, container := range item.Containers {
			sum = sum.Add(container.Usage.usage())
		}
		found[item.Metadata.Name] = sum
	}
	return found, nil
}
