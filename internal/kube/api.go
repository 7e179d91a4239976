package kube

import (
	"context"
	"fmt"
	"io"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// API is what package rollout asks, of a clientset.
type API struct{ kubernetes.Interface }

// List lists the objects of a namespace, of the kind of the list.
func (a API) List(ctx context.Context, namespace string, into runtime.Object) error {
	all := metav1.ListOptions{}
	switch list := into.(type) {
	case *apps.DeploymentList:
		return listed(list)(a.AppsV1().Deployments(namespace).List(ctx, all))
	case *apps.ReplicaSetList:
		return listed(list)(a.AppsV1().ReplicaSets(namespace).List(ctx, all))
	case *apps.StatefulSetList:
		return listed(list)(a.AppsV1().StatefulSets(namespace).List(ctx, all))
	case *core.PodList:
		return listed(list)(a.CoreV1().Pods(namespace).List(ctx, all))
	case *core.ServiceList:
		return listed(list)(a.CoreV1().Services(namespace).List(ctx, all))
	case *core.EventList:
		return listed(list)(a.CoreV1().Events(namespace).List(ctx, all))
	case *discovery.EndpointSliceList:
		return listed(list)(a.DiscoveryV1().EndpointSlices(namespace).List(ctx, all))
	}
	return fmt.Errorf("list: %T is not known", into)
}

func listed[T any](into *T) func(*T, error) error {
	return func(found *T, err error) error {
		if err == nil {
			*into = *found
		}
		return err
	}
}

// Log reads the log of a container.
func (a API) Log(ctx context.Context, namespace, pod string, o *core.PodLogOptions) (io.ReadCloser, error) {
	return a.CoreV1().Pods(namespace).GetLogs(pod, o).Stream(ctx)
}

// DeletePod deletes a pod.
func (a API) DeletePod(ctx context.Context, namespace, pod string, o metav1.DeleteOptions) error {
	return a.CoreV1().Pods(namespace).Delete(ctx, pod, o)
}
