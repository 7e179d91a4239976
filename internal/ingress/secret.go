package ingress

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SecretTypeCA is the type that F5's controller gives Secrets whose ca.crt
// holds a certificate authority.
const SecretTypeCA corev1.SecretType = "nginx.org/ca"

// SecretTypePasswords is the type that F5's controller gives Secrets whose
// htpasswd holds users and hashes of their passwords.
const SecretTypePasswords corev1.SecretType = "nginx.org/htpasswd"

type secretIndex map[types.NamespacedName]*corev1.Secret

func indexSecrets(secrets []*corev1.Secret) secretIndex {
	index := secretIndex{}
	for _, secret := range secrets {
		index[types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}] = secret
	}
	return index
}

func (index secretIndex) get(namespace, name string) (*corev1.Secret, error) {
	if name == "" {
		return nil, fmt.Errorf("no Secret is named")
	}
	secret, ok := index[types.NamespacedName{Namespace: namespace, Name: name}]
	if !ok || (secret.Type != corev1.SecretTypeTLS && secret.Type != SecretTypeCA) {
		return nil, fmt.Errorf("there is no Secret %s/%s of type %s or %s", namespace, name, corev1.SecretTypeTLS, SecretTypeCA)
	}
	return secret, nil
}

// certificate returns the chain and the key of a TLS Secret as one PEM file,
// rewritten from what was parsed: NGINX refuses a whole configuration for
// one bad certificate, so what reaches it must be beyond doubt. It also returns
// when the first certificate of the chain expires.
func (index secretIndex) certificate(namespace, name string) (file string, content []byte, ends time.Time, err error) {
	fail := func(err error) (string, []byte, time.Time, error) { return "", nil, time.Time{}, err }
	secret, err := index.get(namespace, name)
	if err != nil {
		return fail(err)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return fail(fmt.Errorf("secret %s/%s: %w", namespace, name, err))
	}
	var out bytes.Buffer
	for i, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fail(fmt.Errorf("secret %s/%s: certificate %d of the chain: %w", namespace, name, i+1, err))
		}
		if i == 0 || certificate.NotAfter.Before(ends) {
			ends = certificate.NotAfter
		}
		if err := checkStrength(certificate); err != nil {
			return fail(fmt.Errorf("secret %s/%s: certificate %d of the chain: %w", namespace, name, i+1, err))
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return fail(fmt.Errorf("encode certificate: %w", err))
		}
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return fail(fmt.Errorf("secret %s/%s: encode key: %w", namespace, name, err))
	}
	if err := pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: key}); err != nil {
		return fail(fmt.Errorf("encode key: %w", err))
	}
	return namedByHash("tls", out.Bytes()), out.Bytes(), ends, nil
}

// trusted returns the certificate authorities in a Secret's ca.crt.
func (index secretIndex) trusted(namespace, name string) (file string, content []byte, err error) {
	secret, err := index.get(namespace, name)
	if err != nil {
		return "", nil, err
	}
	var out bytes.Buffer
	for rest := secret.Data["ca.crt"]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", nil, fmt.Errorf("secret %s/%s: ca.crt: %w", namespace, name, err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}); err != nil {
			return "", nil, fmt.Errorf("encode certificate: %w", err)
		}
	}
	if out.Len() == 0 {
		return "", nil, fmt.Errorf("secret %s/%s: ca.crt holds no certificate", namespace, name)
	}
	return namedByHash("tls", out.Bytes()), out.Bytes(), nil
}

// checkStrength refuses what OpenSSL does at its security level 2, Debian's
// default, https://docs.openssl.org/3.0/man3/SSL_CTX_set_security_level/.
func checkStrength(certificate *x509.Certificate) error {
	switch public := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < 2048 {
			return fmt.Errorf("an RSA key of %d bits is too short", bits)
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P224() {
			return fmt.Errorf("curve P-224 is not supported")
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("keys of type %s are not supported", certificate.PublicKeyAlgorithm)
	}
	switch certificate.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		if !bytes.Equal(certificate.RawIssuer, certificate.RawSubject) {
			return fmt.Errorf("signature algorithm %s is too weak", certificate.SignatureAlgorithm)
		}
	}
	return nil
}

// passwords returns the users of a Secret, rewritten.
func (index secretIndex) passwords(namespace, name string) (file string, content []byte, err error) {
	secret, ok := index[types.NamespacedName{Namespace: namespace, Name: name}]
	if !ok || secret.Type != SecretTypePasswords {
		return "", nil, fmt.Errorf("there is no Secret %s/%s of type %s", namespace, name, SecretTypePasswords)
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(secret.Data["htpasswd"])) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, _ := strings.Cut(line, ":")
		if user == "" || len(hash) < 4 || !textOnly(line) {
			return "", nil, fmt.Errorf("secret %s/%s: htpasswd: want lines of USER:HASH", namespace, name)
		}
		fmt.Fprintln(&out, line)
	}
	if out.Len() == 0 {
		return "", nil, fmt.Errorf("secret %s/%s: htpasswd names no user", namespace, name)
	}
	return namedByHash(PasswordFolder, out.Bytes()), out.Bytes(), nil
}

func textOnly(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// PasswordFolder is the folder below Settings.Dir whose files workers read,
// while a request waits; the master process reads the others.
const PasswordFolder = "auth"

func namedByHash(folder string, content []byte) string {
	sum := sha256.Sum256(content)
	return filepath.Join(folder, hex.EncodeToString(sum[:16])+".pem")
}

// addFile returns the absolute path that a file will have.
func (m *Model) addFile(name string, content []byte) string {
	m.Files[name] = content
	return filepath.Join(m.Settings.Dir, name)
}
