package release

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/kube"
)

// upstreamLife is how long the application's own certificate lasts. It encrypts
// and says nothing of who is there: the ingress controller reaches the pods by
// the cluster's own network, and verifies no name.
const upstreamLife = 10 * 365 * 24 * time.Hour

// upstreamSecret makes the certificate that the application serves the ingress
// controller with, and renews it in time.
func (c *Client) upstreamSecret(ctx context.Context, environment, name string) error {
	found, err := kube.OwnSecret(ctx, c.kube, environment, name)
	if err != nil {
		return err
	}
	if found != nil {
		leaf, err := leafCertificate(found.Data[core.TLSCertKey])
		if err == nil && time.Until(leaf.NotAfter) > renewBefore {
			return nil
		}
	}
	certificate, key, err := selfSigned(c.config.Name, c.config.Name+"."+environment+".svc")
	if err != nil {
		return fmt.Errorf("make a certificate for the application: %w", err)
	}
	return c.applySecret(ctx, environment, name, core.SecretTypeTLS,
		map[string][]byte{core.TLSCertKey: certificate, core.TLSPrivateKeyKey: key}, "")
}

// selfSigned returns a certificate and its key in PEM.
func selfSigned(names ...string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(upstreamLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}
