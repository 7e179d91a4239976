package main

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"

	"berth/internal/images"
	"berth/internal/provider"
)

// prune removes images that nothing on the cluster needs any more, where the
// provider keeps them itself. The work is done by then, so that it does not
// succeed is no failure of the command's.
func (a *app) prune(ctx context.Context, p provider.Provider, cluster *provider.Cluster) {
	pruner, ok := p.(provider.Pruner)
	if !ok {
		return
	}
	err := pruner.Prune(ctx, func(ctx context.Context) ([]string, error) {
		client, err := kubernetes.NewForConfig(cluster.REST)
		if err != nil {
			return nil, fmt.Errorf("reach cluster %s: %w", cluster.Name, err)
		}
		return images.Needed(ctx, client)
	})
	if err != nil {
		a.console.Reporter().Note(fmt.Sprintf("old images stay until the next deploy: %v", err))
	}
}
