package controller

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// certified is a Secret with a certificate that ends at a time.
func certified(t *testing.T, name string, ends time.Time) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: ends.Add(-1000 * time.Hour), NotAfter: ends}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}}
}

// When certificates end is published where their keys are not.
func TestWhenCertificatesEndIsPublished(t *testing.T) {
	ends := time.Date(2040, 5, 4, 12, 0, 0, 0, time.UTC)
	secured := testIngress("web", "nginx", "web.example.com")
	secured.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"web.example.com"}, SecretName: "web-tls"}}
	secret := certified(t, "web-tls", ends)
	h := newHarness(t, secured, secret)
	h.Certificates = types.NamespacedName{Namespace: "ingress", Name: "certificates"}
	published := func() map[string]string {
		h.reconcile()
		var found corev1.ConfigMap
		if err := h.Client.Get(t.Context(), h.Certificates, &found); err != nil {
			t.Fatal(err)
		}
		return found.Data
	}
	want := map[string]string{"shop_web-tls": `{"ends":"2040-05-04T12:00:00Z","hosts":["web.example.com"]}`}
	got := published()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if strings.Contains(fmt.Sprint(got), "KEY") {
		t.Error("a key is published")
	}

	renewed := certified(t, "web-tls", ends.AddDate(1, 0, 0))
	if err := h.Client.Update(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	want["shop_web-tls"] = strings.Replace(want["shop_web-tls"], "2040", "2041", 1)
	if diff := cmp.Diff(want, published()); diff != "" {
		t.Errorf("published after it was renewed (-want +got):\n%s", diff)
	}
	if err := h.Client.Delete(t.Context(), secured, &client.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := published(); len(got) != 0 {
		t.Errorf("%v is left of an Ingress that is gone", got)
	}
}
