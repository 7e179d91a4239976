package release

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// renewBefore is how long before its end a certificate is renewed.
const renewBefore = 30 * 24 * time.Hour

// staleCertificate says why a PEM certificate must be made again, or "". The
// authority is the file of the CA's own certificate: one that was made again
// itself, as after a purge, leaves certificates that nobody trusts.
func staleCertificate(chain []byte, hosts []string, authority string, now time.Time) (string, error) {
	leaf, err := leafCertificate(chain)
	if err != nil {
		return err.Error(), nil
	}
	if left := leaf.NotAfter.Sub(now); left < renewBefore {
		return fmt.Sprintf("it ends on %s", leaf.NotAfter.Format(time.DateOnly)), nil
	}
	want := slices.Compact(slices.Sorted(slices.Values(hosts)))
	if !slices.Equal(slices.Sorted(slices.Values(leaf.DNSNames)), want) {
		return "it is for " + strings.Join(leaf.DNSNames, ", "), nil
	}
	root, err := os.ReadFile(authority)
	if err != nil {
		return "", fmt.Errorf("read the certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	between := x509.NewCertPool()
	between.AppendCertsFromPEM(chain)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now}); err != nil {
		return err.Error(), nil
	}
	return "", nil
}

// leafCertificate returns the first certificate of a PEM chain.
func leafCertificate(chain []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, fmt.Errorf("it is no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
