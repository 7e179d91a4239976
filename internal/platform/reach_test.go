package platform

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/config"
	"berth/internal/progress"
	"berth/internal/provider"
)

type authorityFile string

func (f authorityFile) File() string { return string(f) }

func (authorityFile) Certificate([]string) (certificate, key []byte, err error) {
	return nil, nil, errors.New("nobody asks for one here")
}

// ingress is a server that begins to answer 200 after some requests.
func ingress(t *testing.T, after int) (*provider.Cluster, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host+r.URL.Path)
		if len(asked) <= after {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return &provider.Cluster{
		Ingress: &provider.Ingress{HTTPS: server.Listener.Addr().String()}, Authority: authorityFile(file),
	}, &asked
}

func TestReachAsksUntilEveryHostAnswers(t *testing.T) {
	cluster, asked := ingress(t, 1)
	// The names that httptest's certificate is for.
	hosts := []string{"example.com", "www.example.com"}
	if err := Reach(t.Context(), cluster, hosts, config.Health{Path: "/readyz"}, progress.Discard); err != nil {
		t.Fatal(err)
	}
	if want := []string{"example.com/readyz", "example.com/readyz", "www.example.com/readyz"}; !slices.Equal(*asked, want) {
		t.Errorf("asked %q, want %q", *asked, want)
	}
}

func TestReachSaysWhatIsAnswered(t *testing.T) {
	cluster, _ := ingress(t, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := Reach(ctx, cluster, []string{"example.com"}, config.Health{Path: "/readyz"}, progress.Discard)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "502 Bad Gateway") {
		t.Errorf("the error is %v", err)
	}
}

func TestReachLeavesOtherIngressesAlone(t *testing.T) {
	if err := Reach(t.Context(), &provider.Cluster{}, []string{"example.com"}, config.Health{Path: "/"}, progress.Discard); err != nil {
		t.Error(err)
	}
}
