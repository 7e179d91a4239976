package existing

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
	"berth/internal/provider"
)

// connection is the way to one context's API server.
type connection struct {
	name   string
	rest   *rest.Config
	client kubernetes.Interface
}

// connect reads exactly the named file and context: neither KUBECONFIG nor the
// file's current context counts.
func (p *Provider) connect() (*connection, error) {
	e := p.config.Existing
	file, err := clientcmd.LoadFromFile(e.Kubeconfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fault.Usage("%w: there is no kubeconfig %s", provider.ErrNoCredentials, e.Kubeconfig), "set existing.kubeconfig in berth.yaml")
	}
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", e.Kubeconfig, err)
	}
	if _, ok := file.Contexts[e.Context]; !ok {
		return nil, fault.WithHint(fault.Usage("kubeconfig %s has no context %q", e.Kubeconfig, e.Context),
			"set existing.context in berth.yaml to one of: %s", strings.Join(slices.Sorted(maps.Keys(file.Contexts)), ", "))
	}
	// The paths within the file are relative to it.
	if err := clientcmd.ResolveLocalPaths(file); err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", e.Kubeconfig, err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*file, e.Context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %s of %s: %w", e.Context, e.Kubeconfig, err)
	}
	// The checks ask many small questions; client-go's default of five a
	// second would make them slow.
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("context %s of %s: %w", e.Context, e.Kubeconfig, err)
	}
	return &connection{e.Context, config, client}, nil
}
