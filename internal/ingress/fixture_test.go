package ingress_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/ingress"
)

// born counts up, so that a fixture made later is younger.
var born = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newIngress returns an Ingress in namespace "shop" with one rule for a host.
// Each path is "[=]PATH SERVICE": with "=" it is Exact, else a Prefix.
func newIngress(name, host string, paths ...string) *networkingv1.Ingress {
	born = born.Add(time.Second)
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(born), Annotations: map[string]string{},
	}}
	return addRule(ing, host, paths...)
}

func addRule(ing *networkingv1.Ingress, host string, paths ...string) *networkingv1.Ingress {
	rule := networkingv1.IngressRule{Host: host}
	rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
	for _, text := range paths {
		path, service, _ := strings.Cut(text, " ")
		kind := networkingv1.PathTypePrefix
		if strings.HasPrefix(path, "=") {
			path, kind = path[1:], networkingv1.PathTypeExact
		}
		rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{Path: path, PathType: &kind, Backend: backend(service)})
	}
	ing.Spec.Rules = append(ing.Spec.Rules, rule)
	return ing
}

func backend(service string) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: service, Port: networkingv1.ServiceBackendPort{Number: 80},
	}}
}

func withTLS(ing *networkingv1.Ingress, secret string, hosts ...string) *networkingv1.Ingress {
	ing.Spec.TLS = append(ing.Spec.TLS, networkingv1.IngressTLS{Hosts: hosts, SecretName: secret})
	return ing
}

func annotate(ing *networkingv1.Ingress, key, value string) *networkingv1.Ingress {
	ing.Annotations[key] = value
	return ing
}

// addService adds a Service in namespace "shop" with port 80 and its endpoints.
func addService(o *ingress.Objects, name string, servers ...string) {
	o.Services = append(o.Services, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	})
	o.EndpointSlices = append(o.EndpointSlices, newSlices(name, servers...)...)
}

// newSlices returns one EndpointSlice for each server, as each has a port of
// its own.
func newSlices(service string, servers ...string) (all []*discoveryv1.EndpointSlice) {
	for _, server := range servers {
		address := netip.MustParseAddrPort(server)
		port, name := int32(address.Port()), "http"
		all = append(all, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: service + "-" + server,
				Labels: map[string]string{discoveryv1.LabelServiceName: service},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address.Addr().String()}}},
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		})
	}
	return all
}

func address(s *httptest.Server) string { return s.Listener.Addr().String() }

// authority is a certificate authority of a test.
type authority struct {
	t           testing.TB
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var der []byte
	a.key, der = a.sign(template, nil, nil)
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

// issue returns a certificate and its key, in PEM.
func (a *authority) issue(hosts ...string) (certificate, key []byte) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	private, der := a.sign(template, a.certificate, a.key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// secret returns a TLS Secret in namespace "shop" with a certificate for hosts.
func (a *authority) secret(name string, hosts ...string) *corev1.Secret {
	certificate, key := a.issue(hosts...)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
}

func (a *authority) trustSecret(name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Type: ingress.SecretTypeCA,
		Data: map[string][]byte{"ca.crt": a.pem()},
	}
}

func (a *authority) serverConfig(hosts ...string) *tls.Config {
	certificate, key := a.issue(hosts...)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}
