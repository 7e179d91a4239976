package local

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
	"berth/internal/progress"
)

// waitForAPI returns once the API server says it is ready.
func (p *Provider) waitForAPI(ctx context.Context, step progress.Step) (*kubernetes.Clientset, error) {
	config, err := p.restConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	began := time.Now()
	step.Detail("waiting for the API server")
	err = p.pollAPI(ctx, client, 3*time.Minute, func(err error) {
		waited := time.Since(began).Round(time.Second)
		if waited >= 10*time.Second {
			step.Detail(fmt.Sprintf("waiting for the API server, %s so far: %s", waited, unready(err)))
		}
	})
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("the API server does not become ready: %w", err),
			"see its log: %s", p.layout.supervisor().Log(apiServerPart))
	}
	return client, nil
}

// restConfig is how this machine reaches the API server.
func (p *Provider) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.layout.kubeconfig(adminUser))
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 100, 200
	return config, nil
}

// pollAPI waits for the API server, and reports its trouble meanwhile.
func (p *Provider) pollAPI(ctx context.Context, client kubernetes.Interface, limit time.Duration, trouble func(error)) error {
	return poll(ctx, p.patience(limit, etcdPart, apiServerPart), func(ctx context.Context) error {
		err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if err != nil {
			trouble(err)
		}
		return err
	})
}

var failing = regexp.MustCompile(`\[-\]([a-z0-9/-]+)`)

// unready says in few words what an API server that is not ready waits for: the
// names of its checks that fail.
func unready(err error) string {
	var names []string
	for _, match := range failing.FindAllStringSubmatch(err.Error(), -1) {
		names = append(names, match[1])
	}
	switch {
	case len(names) > 3:
		return fmt.Sprintf("%s and %d more are not ready", strings.Join(names[:3], ", "), len(names)-3)
	case len(names) > 0:
		return strings.Join(names, ", ") + " not ready"
	}
	return "it does not answer yet"
}
