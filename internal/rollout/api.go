package rollout

import (
	"context"
	"io"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// API is what a rollout asks of Kubernetes. kube.API has it of a clientset. The watch,
// which has to be small, asks for nothing but logs, and without a clientset: with it,
// the clients and types of everything that Kubernetes knows are in a program.
type API interface {
	Logs
	// List lists the objects of a namespace, of the kind of the list.
	List(ctx context.Context, namespace string, into runtime.Object) error
	DeletePod(ctx context.Context, namespace, pod string, o metav1.DeleteOptions) error
}

// Logs are those of containers.
type Logs interface {
	Log(ctx context.Context, namespace, pod string, o *core.PodLogOptions) (io.ReadCloser, error)
}
