// Package kube has what several packages need of the Kubernetes API: a clientset,
// berth's namespaces and Secrets, a lock, and waiting.
//
// It knows nothing of Helm, of berth.yaml or of applications.
package kube

import (
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth/internal/kube/own"
)

// Config returns a copy of a REST config, tuned for berth.
func Config(reach *rest.Config) *rest.Config {
	reach = rest.CopyConfig(reach)
	// A deploy asks often and briefly; client-go's default of five requests a
	// second would make the waiting slower than the cluster.
	reach.QPS, reach.Burst = 50, 100
	// client-go prints the API server's warnings on standard error otherwise.
	reach.WarningHandler = rest.NoWarnings{}
	reach.UserAgent = own.Manager
	return reach
}

// Connect returns a clientset for a cluster.
func Connect(reach *rest.Config) (kubernetes.Interface, error) {
	client, err := kubernetes.NewForConfig(Config(reach))
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return client, nil
}
