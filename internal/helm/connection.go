package helm

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// connection gives Helm one cluster and one namespace. Helm's own
// implementation reads kubeconfig files, the environment and a cache in the
// home folder; this one knows nothing but what it was made with.
type connection struct {
	reach     *rest.Config
	namespace string
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

func newConnection(reach *rest.Config, namespace string) (*connection, error) {
	client, err := discovery.NewDiscoveryClientForConfig(reach)
	if err != nil {
		return nil, fmt.Errorf("discover the cluster's API: %w", err)
	}
	cached := memory.NewMemCacheClient(client)
	return &connection{reach, namespace, cached, restmapper.NewDeferredDiscoveryRESTMapper(cached)}, nil
}

func (c *connection) ToRESTConfig() (*rest.Config, error) {
	// Helm's factory writes its defaults into the configuration that it gets.
	config := rest.CopyConfig(c.reach)
	config.Wrap(newRetrying)
	return config, nil
}

func (c *connection) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return c.discovery, nil
}

func (c *connection) ToRESTMapper() (meta.RESTMapper, error) { return c.mapper, nil }

// ToRawKubeConfigLoader is called only for the namespace. The empty configuration
// with one override reads no file.
func (c *connection) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), &clientcmd.ConfigOverrides{
		Context: clientcmdapi.Context{Namespace: c.namespace},
	})
}
