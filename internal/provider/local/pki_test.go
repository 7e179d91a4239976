package local

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
)

func TestAuthorityIsMadeOnceAndKeptPrivate(t *testing.T) {
	l := layout{state: t.TempDir()}
	first, err := loadAuthority(l, "kubernetes", nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadAuthority(l, "kubernetes", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !first.certificate.Equal(again.certificate) {
		t.Error("a second load made another authority")
	}
	info, err := os.Stat(l.pki("kubernetes-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, want 0600", info.Mode().Perm())
	}
}

func TestIssueRenewsOnlyWhatMustBe(t *testing.T) {
	l := layout{state: t.TempDir()}
	ca, err := loadAuthority(l, "kubernetes", nil)
	if err != nil {
		t.Fatal(err)
	}
	file := l.pki("server.crt")
	issue := func(hosts ...string) *x509.Certificate {
		t.Helper()
		if err := ca.issue(file, "server", "", hosts...); err != nil {
			t.Fatal(err)
		}
		certificate, _, err := readPair(file)
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	first := issue("localhost", "127.0.0.1")
	if !issue("localhost", "127.0.0.1").Equal(first) {
		t.Error("a good certificate was replaced")
	}
	if issue("localhost", "127.0.0.2").Equal(first) {
		t.Error("a certificate for other hosts was kept")
	}

	soon := leaf("server", "", []string{"localhost"})
	soon.NotAfter = time.Now().Add(renewBefore - time.Hour)
	if err := makePair(file, soon, ca); err != nil {
		t.Fatal(err)
	}
	if until := time.Until(issue("localhost").NotAfter); until < renewBefore {
		t.Errorf("a certificate that ends in %v was kept", until)
	}
}

func TestIngressAuthoritySignsForThisMachineAlone(t *testing.T) {
	ca, err := loadAuthority(layout{state: t.TempDir()}, "ingress", localDomains)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"realworld.localhost", "staging.realworld.localhost"}
	certificate, key, err := ca.Certificate(hosts)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	for _, host := range hosts {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}

	_, _, err = ca.Certificate([]string{"example.com"})
	if err == nil || !strings.Contains(fault.Hint(err), "localhost") {
		t.Errorf("a name of the Internet was signed, or the hint names no way out: %v", err)
	}

	// The key's holder cannot get around the limit either.
	forged, _, err := sign(leaf("example.com", "", []string{"example.com"}), ca)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(forged)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(x509.VerifyOptions{DNSName: "example.com", Roots: roots}); err == nil {
		t.Error("a certificate for example.com is believed")
	}
}
