package realworld_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/realworld"
)

// With a certificate the server speaks HTTPS alone.
func TestServeHTTPS(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	borrowed := httptest.NewTLSServer(http.NotFoundHandler())
	borrowed.Close()
	pair := borrowed.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	environment := map[string]string{
		"TLS_CERT_FILE": write("tls.crt", "CERTIFICATE", pair.Certificate[0]), "TLS_KEY_FILE": write("tls.key", "PRIVATE KEY", key),
	}
	config, err := realworld.ConfigFromEnvironment(func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, config)
	address := strings.TrimPrefix(s.url, "http://")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(borrowed), ServerName: "example.com"}}}
	defer client.CloseIdleConnections()
	var status int
	waitFor(t, func() bool {
		response, err := client.Get("https://" + address + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		status = response.StatusCode
		return true
	})
	if status != http.StatusOK {
		t.Errorf("readyz over HTTPS: %d", status)
	}
	if status := s.get("/readyz"); status != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered with %d", status)
	}
	client.CloseIdleConnections()
	s.stop()
}

func roots(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}
