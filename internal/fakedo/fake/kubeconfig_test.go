package fake_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digitalocean/godo"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fakedo/fake"
)

// The account's cluster is the one that a kubeconfig reaches, whose certificates
// may be in files beside it.
func TestRealClusterIsHandedOut(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ca.crt": "the authority", "admin.crt": "the certificate", "admin.key": "the key",
		"kubeconfig": `
apiVersion: v1
kind: Config
current-context: local
contexts:
- name: local
  context: {cluster: here, user: admin}
clusters:
- name: here
  cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.crt}
users:
- name: admin
  user: {client-certificate: admin.crt, client-key: admin.key}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := fake.Start(t, fake.Options{Kubeconfig: filepath.Join(dir, "kubeconfig")})
	api, ctx := client(t, server.URL, "token"), t.Context()
	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, clusterRequest("")))

	credentials := must[*godo.KubernetesClusterCredentials](t)(api.Kubernetes.GetCredentials(ctx, cluster.ID, nil))
	if credentials.Server != "https://127.0.0.1:6443" || string(credentials.CertificateAuthorityData) != "the authority" ||
		string(credentials.ClientCertificateData) != "the certificate" || string(credentials.ClientKeyData) != "the key" {
		t.Errorf("the credentials are %+v", credentials)
	}
	file := must[*godo.KubernetesClusterConfig](t)(api.Kubernetes.GetKubeConfigWithExpiry(ctx, cluster.ID, 600))
	config, err := clientcmd.RESTConfigFromKubeConfig(file.KubeconfigYAML)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:6443" || string(config.KeyData) != "the key" {
		t.Errorf("the kubeconfig reaches %s\n%s", config.Host, file.KubeconfigYAML)
	}
}
