package fake

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/digitalocean/godo"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// lifetime of credentials that nobody asks another of.
const lifetime = 7 * 24 * time.Hour

// credentials hands out how to reach a cluster: the real one of the options, or
// made-up ones that reach nothing. Like the API's, they cannot be had while the
// cluster is being made or deleted, or is broken.
func (f *Fake) credentials(r *http.Request, c *Cluster) (int, any, error) {
	switch c.Status.State {
	case godo.KubernetesClusterStatusProvisioning, godo.KubernetesClusterStatusError, deleting:
		return 0, nil, &apiError{http.StatusPreconditionFailed, "precondition_failed", "the cluster is " + string(c.Status.State)}
	}
	expires := lifetime
	if text := r.URL.Query().Get("expiry_seconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 {
			return 0, nil, badRequest("expiry_seconds must be a number")
		}
		if seconds > 0 {
			expires = time.Duration(seconds) * time.Second
		}
	}
	answer := godo.KubernetesClusterCredentials{
		Server: c.Endpoint, Token: "dop_v1_" + newSecret(32), CertificateAuthorityData: []byte("no certificate"),
		ExpiresAt: f.options.Now().UTC().Add(expires).Truncate(time.Second),
	}
	if f.options.Kubeconfig == "" {
		return http.StatusOK, answer, nil
	}
	config, err := clientcmd.LoadFromFile(f.options.Kubeconfig)
	if err != nil {
		return 0, nil, fmt.Errorf("read the real cluster's kubeconfig: %w", err)
	}
	// Certificates that the file names by their path become part of it.
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		return 0, nil, fmt.Errorf("read the real cluster's kubeconfig: %w", err)
	}
	current := config.Contexts[config.CurrentContext]
	if current == nil || config.Clusters[current.Cluster] == nil || config.AuthInfos[current.AuthInfo] == nil {
		return 0, nil, fmt.Errorf("the real cluster's kubeconfig has no whole current context")
	}
	cluster, user := config.Clusters[current.Cluster], config.AuthInfos[current.AuthInfo]
	answer.Server, answer.Token = cluster.Server, user.Token
	answer.CertificateAuthorityData = cluster.CertificateAuthorityData
	answer.ClientCertificateData, answer.ClientKeyData = user.ClientCertificateData, user.ClientKeyData
	return http.StatusOK, answer, nil
}

// kubeconfig hands out the same as a file.
func (f *Fake) kubeconfig(r *http.Request, c *Cluster) (int, any, error) {
	_, body, err := f.credentials(r, c)
	if err != nil {
		return 0, nil, err
	}
	credentials := body.(godo.KubernetesClusterCredentials)
	name := fmt.Sprintf("do-%s-%s", c.RegionSlug, c.Name)
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: credentials.Server, CertificateAuthorityData: credentials.CertificateAuthorityData}
	config.AuthInfos[name+"-admin"] = &clientcmdapi.AuthInfo{
		Token: credentials.Token, ClientCertificateData: credentials.ClientCertificateData, ClientKeyData: credentials.ClientKeyData,
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name + "-admin"}
	config.CurrentContext = name
	encoded, err := clientcmd.Write(*config)
	if err != nil {
		return 0, nil, fmt.Errorf("write a kubeconfig: %w", err)
	}
	return http.StatusOK, encoded, nil
}
