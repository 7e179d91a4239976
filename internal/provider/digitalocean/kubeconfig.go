package digitalocean

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/provider"
)

// kubeconfigSeconds is how long the credentials last that a command fetches
// for itself, and leaves in a file for kubectl.
const kubeconfigSeconds = 12 * 60 * 60

// Cluster implements provider.Provider. The cluster is found by its name, and
// its credentials are fetched again each time.
func (p *Provider) Cluster(ctx context.Context) (*provider.Cluster, error) {
	cluster, err := p.findCluster(ctx)
	if err != nil {
		return nil, err
	}
	d := p.config.DigitalOcean
	if cluster == nil {
		return nil, fault.WithHint(fmt.Errorf("there is no cluster %s at DigitalOcean: %w", d.Cluster, provider.ErrNotUp), "berth init makes it")
	}
	if err := notUsable(cluster); err != nil {
		return nil, err
	}
	config, err := p.fetchKubeconfig(ctx, cluster.ID)
	if err != nil {
		return nil, err
	}
	found := &provider.Cluster{
		Name: d.Cluster, REST: config, Kubeconfig: p.kubeconfig(),
		StorageClass: d.StorageClass, IngressClass: d.IngressClass, Issuer: p.issuer(),
		Metrics:    true, // DOKS has none: it is a 1-Click App of its marketplace
		PullLogins: p.pullLogins,
	}
	found.LoadBalancer = p.loadBalancer()
	return found, nil
}

// client connects to the cluster's API server.
func (p *Provider) client(ctx context.Context) (kubernetes.Interface, error) {
	cluster, err := p.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	return kube.Connect(cluster.REST)
}

// fetchKubeconfig writes the kubeconfig, with one context of the cluster's name.
func (p *Provider) fetchKubeconfig(ctx context.Context, id string) (*rest.Config, error) {
	fetched, _, err := p.api.Kubernetes.GetKubeConfigWithExpiry(ctx, id, kubeconfigSeconds)
	if err != nil {
		return nil, wrap("fetch the kubeconfig", explain(err))
	}
	file, err := clientcmd.Load(fetched.KubeconfigYAML)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig that DigitalOcean gave: %w", err)
	}
	own, err := ownContext(file, p.config.DigitalOcean.Cluster)
	if err != nil {
		return nil, err
	}
	text, err := clientcmd.Write(*own)
	if err != nil {
		return nil, fmt.Errorf("write the kubeconfig: %w", err)
	}
	if err := p.makeFolder(); err != nil {
		return nil, err
	}
	if err := writePrivate(p.kubeconfig(), text); err != nil {
		return nil, fmt.Errorf("write the kubeconfig: %w", err)
	}
	config, err := clientcmd.NewDefaultClientConfig(*own, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig that DigitalOcean gave: %w", err)
	}
	// A drain and the platform's checks ask many small questions; client-go's
	// default of five a second would make them slow.
	config.QPS, config.Burst = 50, 100
	return config, nil
}

// ownContext takes a file's current context alone, under a name of berth's.
// What runs a program is refused: the file came over the network.
func ownContext(file *clientcmdapi.Config, name string) (*clientcmdapi.Config, error) {
	current, ok := file.Contexts[file.CurrentContext]
	if !ok || file.Clusters[current.Cluster] == nil || file.AuthInfos[current.AuthInfo] == nil {
		return nil, fmt.Errorf("the kubeconfig that DigitalOcean gave has no current context")
	}
	user := file.AuthInfos[current.AuthInfo]
	if user.Exec != nil || user.AuthProvider != nil {
		return nil, fmt.Errorf("the kubeconfig that DigitalOcean gave wants to run a program")
	}
	own := clientcmdapi.NewConfig()
	own.Clusters[name] = file.Clusters[current.Cluster]
	own.AuthInfos[name] = user
	own.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	own.CurrentContext = name
	return own, nil
}

// issuer is the ClusterIssuer of the hosts' certificates, or "".
func (p *Provider) issuer() string {
	if source := p.config.DigitalOcean.Certificates; source != config.NoCertificates {
		return source
	}
	return ""
}

// loadBalancer says how the ingress controller is installed; nil where the
// operator brings one.
func (p *Provider) loadBalancer() *provider.LoadBalancer {
	d := p.config.DigitalOcean
	if d.Ingress != config.IngressF5 {
		return nil
	}
	// https://github.com/digitalocean/digitalocean-cloud-controller-manager/blob/master/docs/controllers/services/annotations.md
	const prefix = "service.beta.kubernetes.io/do-loadbalancer-"
	return &provider.LoadBalancer{
		Annotations: map[string]string{
			prefix + "name": p.ingressName(),
			// It passes packets on as they came, with the client's address,
			// and knows no PROXY protocol. The type is said because what is
			// the default has changed before.
			prefix + "type": "REGIONAL_NETWORK",
			// A node whose controller is going is left within six seconds, for
			// which the controller waits before it stops.
			prefix + "healthcheck-check-interval-seconds":   "3",
			prefix + "healthcheck-response-timeout-seconds": "3",
			prefix + "healthcheck-unhealthy-threshold":      "2",
			prefix + "healthcheck-healthy-threshold":        "2",
		},
		Certificates: d.Certificates != config.NoCertificates,
		Email:        d.Email,
	}
}

// ingressName is the name that the load balancer is given.
func (p *Provider) ingressName() string { return p.config.DigitalOcean.Cluster + "-ingress" }
