package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"berth/internal/image"
)

// reach finds out what builds begin with, once a command: which registries can be
// reached, and this machine's Go.
type reach struct {
	mu    sync.Mutex
	asked map[string]func() error
	goMu  sync.Mutex
	goes  string
}

// reachTime bounds how long a registry has to answer; a firewall that says
// nothing would keep a build for minutes.
const reachTime = 5 * time.Second

// unreachable returns why registries cannot be reached that bases are in.
func (r *reach) unreachable(ctx context.Context, bases []image.Base) map[string]error {
	problems := map[string]error{}
	var asking sync.WaitGroup
	var mu sync.Mutex
	for _, base := range bases {
		asking.Go(func() {
			if err := r.ask(ctx, base.Registry); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems[base.Registry] = err
			}
		})
	}
	asking.Wait()
	return problems
}

func (r *reach) ask(ctx context.Context, registry string) error {
	r.mu.Lock()
	if r.asked == nil {
		r.asked = map[string]func() error{}
	}
	ask, ok := r.asked[registry]
	if !ok {
		ask = sync.OnceValue(func() error { return ping(ctx, registry) })
		r.asked[registry] = ask
	}
	r.mu.Unlock()
	return ask()
}

// toolchain is the version of this machine's Go, and its minor version.
func (r *reach) toolchain(ctx context.Context) (version string, minor int, err error) {
	r.goMu.Lock()
	defer r.goMu.Unlock()
	if r.goes == "" {
		if r.goes, err = goEnvironment(ctx, "GOVERSION"); err != nil { // "go1.26.8"
			return "", 0, err
		}
	}
	version = strings.TrimPrefix(r.goes, "go")
	parts := strings.Split(version, ".")
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(strings.TrimRight(parts[1], "abcdefghijklmnopqrstuvwxyz-"))
	}
	return version, minor, nil
}

// ping is an error when nobody answers for a registry. Whatever is said counts,
// and what is wrong with a certificate is for the builder to tell.
func ping(ctx context.Context, registry string) error {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+registryHost(registry)+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		response.Body.Close()
		return nil
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError // it speaks HTTP
	if errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer within " + reachTime.String())
	}
	return err
}

// registryHost is where a registry listens.
func registryHost(registry string) string {
	if registry == "docker.io" {
		return "registry-1.docker.io"
	}
	return registry
}

func goEnvironment(ctx context.Context, name string) (string, error) {
	command := exec.CommandContext(ctx, "go", "env", name)
	command.Dir = "/"
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("ask go for %s: %w", name, err)
	}
	return strings.TrimSpace(string(output)), nil
}
