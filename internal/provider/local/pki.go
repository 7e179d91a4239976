package local

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/internal/fault"
)

const (
	authorityLifetime   = 10 * 365 * 24 * time.Hour
	certificateLifetime = 397 * 24 * time.Hour // what browsers accept at most
	renewBefore         = 60 * 24 * time.Hour
)

// authority is a certificate authority kept as two files. There are four, so
// that what one signs is not believed by the others' clients: kubernetes, etcd,
// front-proxy and ingress.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	file        string
}

// localDomains are the domains that never leave a machine or its network (RFC
// 6761, RFC 6762, RFC 8375, and the reservation of "internal"). The ingress
// authority is limited to them: somebody who trusts it and loses its key still
// has not lost the names of the Internet.
var localDomains = []string{"localhost", "test", "example", "invalid", "local", "internal", "home.arpa"}

// loadAuthority reads the authority of a name, and makes it when it is not
// there yet. With domains it can sign for hosts in those alone.
func loadAuthority(l layout, name string, domains []string) (*authority, error) {
	file := l.pki(name + "-ca.crt")
	certificate, key, err := readPair(file)
	if errors.Is(err, fs.ErrNotExist) {
		template := &x509.Certificate{
			Subject:                     pkix.Name{CommonName: "berth " + name + " CA (this machine)"},
			IsCA:                        true,
			BasicConstraintsValid:       true,
			MaxPathLenZero:              true,
			KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			PermittedDNSDomains:         domains,
			PermittedDNSDomainsCritical: len(domains) > 0,
			NotAfter:                    time.Now().Add(authorityLifetime),
		}
		if err := makePair(file, template, nil); err != nil {
			return nil, fmt.Errorf("make %s authority: %w", name, err)
		}
		certificate, key, err = readPair(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s authority: %w", name, err)
	}
	return &authority{certificate, key, file}, nil
}

// issue makes sure that file and its .key hold a certificate for a subject
// that is valid for weeks to come, for servers at hosts and for clients.
func (a *authority) issue(file, user, group string, hosts ...string) error {
	certificate, _, err := readPair(file)
	if err == nil && time.Until(certificate.NotAfter) > renewBefore &&
		certificate.CheckSignatureFrom(a.certificate) == nil && slices.Equal(names(certificate), hosts) {
		return nil
	}
	if err := makePair(file, leaf(user, group, hosts), a); err != nil {
		return fmt.Errorf("issue certificate for %s: %w", user, err)
	}
	return nil
}

func leaf(user, group string, hosts []string) *x509.Certificate {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: user},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotAfter:    time.Now().Add(certificateLifetime),
	}
	if group != "" {
		template.Subject.Organization = []string{group}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return template
}

// names are a certificate's hosts, in the order that issue was given them:
// DNS names before addresses.
func names(c *x509.Certificate) []string {
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// Certificate implements provider.Authority.
func (a *authority) Certificate(hosts []string) (certificate, key []byte, err error) {
	for _, host := range hosts {
		domain := func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) }
		if !slices.ContainsFunc(localDomains, domain) {
			return nil, nil, fault.WithHint(fmt.Errorf("host %q is not a name for this machine", host),
				"give it a name below one of: %s", strings.Join(localDomains, ", "))
		}
	}
	template := leaf(hosts[0], "", hosts)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return sign(template, a)
}

// show puts a copy of the certificate where every user can read it: the
// folder of the keys is root's alone.
func (a *authority) show(file string) error {
	content, err := os.ReadFile(a.file)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	if err := replaceFile(file, content, 0o644); err != nil {
		return fmt.Errorf("show certificate: %w", err)
	}
	a.file = file
	return nil
}

// File implements provider.Authority.
func (a *authority) File() string { return a.file }

// makePair writes a new key and its certificate; parent nil signs itself.
func makePair(file string, template *x509.Certificate, parent *authority) error {
	certificate, key, err := sign(template, parent)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	// The key first: a certificate is there only when its key is.
	if err := replaceFile(keyFile(file), key, 0o600); err != nil {
		return err
	}
	return replaceFile(file, certificate, 0o644)
}

func sign(template *x509.Certificate, parent *authority) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clocks of guests lag
	signer, by := crypto.Signer(private), template
	if parent != nil {
		signer, by = parent.key, parent.certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, private.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

func readPair(file string) (*x509.Certificate, crypto.Signer, error) {
	certificatePEM, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(keyFile(file))
	if err != nil {
		return nil, nil, err
	}
	certificateBlock, _ := pem.Decode(certificatePEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certificateBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("%s or its key is not PEM", file)
	}
	certificate, err := x509.ParseCertificate(certificateBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("the key of %s cannot sign", file)
	}
	return certificate, signer, nil
}

func keyFile(certificateFile string) string {
	return strings.TrimSuffix(certificateFile, ".crt") + ".key"
}

// onceRandom returns the content of a file, which is random and made at the
// first call: 32 bytes in hexadecimal.
func onceRandom(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err == nil {
		return string(content), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read key: %w", err)
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails, as its documentation says
	text := hex.EncodeToString(random)
	if err := replaceFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("keep key: %w", err)
	}
	return text, nil
}
