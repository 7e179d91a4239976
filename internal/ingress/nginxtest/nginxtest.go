// Package nginxtest runs a real NGINX on loopback for tests and benchmarks and
// removes it again.
package nginxtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"berth/internal/ingress"
	"berth/internal/ingress/nginx"
)

// Binary returns the path of Debian's nginx.
func Binary() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("nginx is not installed: apt-get install --no-install-recommends nginx libnginx-mod-http-lua")
}

// Settings returns settings for a folder, with free ports on loopback, HTTP/2
// as the installed NGINX wants it, and no access log.
func Settings(dir string) (ingress.Settings, error) {
	binary, err := Binary()
	if err != nil {
		return ingress.Settings{}, err
	}
	http2, err := nginx.HasHTTP2Directive(context.Background(), binary)
	if err != nil {
		return ingress.Settings{}, err
	}
	addresses := make([]netip.AddrPort, 2)
	for i := range addresses {
		// Both listeners stay open until both ports are known, so that they
		// differ. NGINX takes them right after.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ingress.Settings{}, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close()
		addresses[i] = netip.MustParseAddrPort(listener.Addr().String())
	}
	return ingress.Settings{
		HTTP: addresses[:1], HTTPS: addresses[1:], PublicHTTPSPort: addresses[1].Port(),
		Dir: dir, TrustedCA: ingress.DebianTrustedCA, AccessLog: "off",
		ShutdownTimeout: 5 * time.Second, HTTP2Directive: http2, Modules: ingress.DebianModules, Workers: 2,
		BodiesPerClient: ingress.DefaultBodiesPerClient, HeaderBuffer: ingress.DefaultHeaderBuffer,
	}, nil
}

// Instance is an NGINX of a test.
type Instance struct {
	*nginx.Server
	t          testing.TB
	generation int
}

// New prepares an NGINX in a folder of its own, whose path is short enough for
// a unix socket. It runs from the first Apply until the test ends.
func New(t testing.TB) *Instance {
	t.Helper()
	binary, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nginx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove nginx's folder: %v", err)
		}
	})
	// As root, NGINX gives its temporary folders to the user nobody, who must
	// be able to reach them.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	settings, err := Settings(dir)
	if err != nil {
		t.Fatal(err)
	}
	instance := &Instance{
		Server: &nginx.Server{Binary: binary, Settings: settings, Log: slog.New(slog.NewTextHandler(t.Output(), nil))},
		t:      t,
	}
	if err := instance.Prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := instance.Stop(ctx); err != nil {
			t.Errorf("stop nginx: %v", err)
		}
	})
	return instance
}

// Serve builds a configuration from objects and serves it, as the next
// generation. It returns what Build found wrong.
func (i *Instance) Serve(objects ingress.Objects) []ingress.Problem {
	i.t.Helper()
	model, problems := ingress.Build(objects, i.Settings)
	i.generation++
	model.Generation = i.generation
	if err := i.Apply(i.t.Context(), model); err != nil {
		i.t.Fatalf("%v\n%s", err, model.Render())
	}
	return problems
}

// HTTP and HTTPS are the addresses it listens on.
func (i *Instance) HTTP() string  { return i.Settings.HTTP[0].String() }
func (i *Instance) HTTPS() string { return i.Settings.HTTPS[0].String() }
