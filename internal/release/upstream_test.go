package release

import (
	"crypto/tls"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/config"
	"berth/internal/progress"
	"berth/internal/provider"
)

func TestTheApplicationsOwnCertificateIsMadeOnce(t *testing.T) {
	c := &Client{cluster: &provider.Cluster{}, config: &config.Config{Name: "shop"}, kube: fake.NewClientset()}
	read := func() *core.Secret {
		t.Helper()
		names, _, err := c.secrets(t.Context(), "production", "good:1", config.Environment{UpstreamTLS: true}, progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.kube.CoreV1().Secrets("production").Get(t.Context(), names.upstream, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := read()
	if _, err := tls.X509KeyPair(first.Data[core.TLSCertKey], first.Data[core.TLSPrivateKeyKey]); err != nil {
		t.Error(err)
	}
	leaf, err := leafCertificate(first.Data[core.TLSCertKey])
	if err != nil || leaf.VerifyHostname("shop.production.svc") != nil || time.Until(leaf.NotAfter) < 9*365*24*time.Hour {
		t.Errorf("%v: it is for %v until %v", err, leaf.DNSNames, leaf.NotAfter)
	}
	if string(read().Data[core.TLSCertKey]) != string(first.Data[core.TLSCertKey]) {
		t.Error("a good certificate was replaced")
	}
}
