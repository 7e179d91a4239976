package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"k8s.io/client-go/kubernetes"

	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/provider/local/supervisor"
)

// Cluster implements provider.Provider.
func (p *Provider) Cluster(ctx context.Context) (*provider.Cluster, error) {
	s, err := p.loadState()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !exists(p.layout.kubeconfig(adminUser)) {
		return nil, fault.WithHint(provider.ErrNotUp, "bring it up with: berth up")
	}
	if err != nil {
		return nil, fmt.Errorf("read the cluster's state: %w", err)
	}
	config, err := p.restConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	// Nobody is asked when nobody is there: somewhere else on the way another
	// machine might answer to the address.
	if !supervisor.Running(p.layout.supervisor(), apiServerPart) && !supervisor.Running(p.layout.supervisor(), "supervisor") {
		return nil, fault.WithHint(provider.ErrNotUp, "bring it up with: berth up")
	}
	// A killed API server is back within seconds.
	if err := p.pollAPI(ctx, client, 30*time.Second, func(error) {}); err != nil {
		return nil, fault.WithHint(fmt.Errorf("%w: %w", provider.ErrNotUp, err), "bring it up with: berth up")
	}
	ingress, err := loadAuthority(p.layout, "ingress", localDomains)
	if err != nil {
		return nil, err
	}
	if err := ingress.show(p.layout.trust()); err != nil {
		return nil, err
	}
	return &provider.Cluster{
		Name:           "local",
		MakesUpSecrets: true,
		REST:           config,
		Kubeconfig:     p.layout.kubeconfig(adminUser),
		StorageClass:   storageClass,
		IngressClass:   "nginx",
		Ingress: &provider.Ingress{
			Image: s.Images["ingress"], HTTP: p.config.HTTP, HTTPS: p.config.HTTPS, Node: p.node(1).name(),
		},
		Authority: ingress,
		Postgres:  s.Images["postgres"],
		// A kind is built when the first application asks for it.
		BuildsServices: true,
		HasImage:       p.hasImage,
		PodLogs:        &provider.PodLogs{Folder: p.layout.podLogs(), PerNode: true, State: p.layout.in("log-agent")},
	}, nil
}
