package local

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig gives a user of the cluster a certificate and a kubeconfig
// that carries it. The group says what the user may do: Kubernetes takes the
// certificate's common name for the user and its organisation for the group.
func writeKubeconfig(l layout, ca *authority, server, user, group string) error {
	certificate := l.pki(fileName(user) + "-client.crt")
	if err := ca.issue(certificate, user, group); err != nil {
		return err
	}
	embedded := map[string][]byte{ca.file: nil, certificate: nil, keyFile(certificate): nil}
	for name := range embedded {
		content, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("write kubeconfig for %s: %w", user, err)
		}
		embedded[name] = content
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: embedded[ca.file]}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: embedded[certificate],
		ClientKeyData:         embedded[keyFile(certificate)],
	}
	config.Contexts["local"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: user}
	config.CurrentContext = "local"
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("write kubeconfig for %s: %w", user, err)
	}
	file := l.kubeconfig(user)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make kubeconfig folder: %w", err)
	}
	return replaceFile(file, content, 0o600)
}
