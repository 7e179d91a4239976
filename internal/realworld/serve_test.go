package realworld_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/realworld"
)

func TestConfigFromEnvironment(t *testing.T) {
	long := strings.Repeat("s", 32)
	for _, test := range []struct {
		name        string
		environment map[string]string
		problem     string
		development bool
		listen      string
	}{
		{"nothing", nil, "", true, "127.0.0.1:8000"},
		{"only how to log", map[string]string{"LOG_LEVEL": "debug"}, "", true, "127.0.0.1:8000"},
		{"everything", map[string]string{"DATABASE_URL": "sqlite:////data/x.db", "CONDUIT_SECRET": long}, "", false, ":8000"},
		{"an address", map[string]string{"DATABASE_URL": "sqlite:////data/x.db", "CONDUIT_SECRET": long, "LISTEN": ":9000"}, "", false, ":9000"},
		{"no secret", map[string]string{"DATABASE_URL": "sqlite:////data/x.db"}, "CONDUIT_SECRET is not set", false, ""},
		{"a short secret", map[string]string{"DATABASE_URL": "sqlite:////data/x.db", "CONDUIT_SECRET": long[1:]}, "CONDUIT_SECRET has 31 bytes", false, ""},
		{"no database", map[string]string{"CONDUIT_SECRET": long}, "DATABASE_URL is not set", false, ""},
		{"the image alone", map[string]string{"LISTEN": ":8000"}, "DATABASE_URL is not set", false, ""},
		{"a pod without settings", map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "DATABASE_URL is not set", false, ""},
		{"a certificate without its key", map[string]string{"TLS_CERT_FILE": "/tls/tls.crt"}, "only one of TLS_CERT_FILE", false, ""},
		{"a bad level", map[string]string{"LOG_LEVEL": "loud"}, "LOG_LEVEL", false, ""},
		{"a bad delay", map[string]string{"SHUTDOWN_DELAY": "soon"}, "SHUTDOWN_DELAY", false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := realworld.ConfigFromEnvironment(func(name string) string { return test.environment[name] })
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) || fault.Hint(err) == "" {
					t.Errorf("got %v with the hint %q, want %q and a hint", err, fault.Hint(err), test.problem)
				}
				return
			}
			if err != nil || config.Development != test.development || config.Listen != test.listen {
				t.Errorf("got %+v, error %v", config, err)
			}
		})
	}
}

func TestUnusableDatabaseURLs(t *testing.T) {
	for _, url := range []string{
		"", "realworld.db", "mysql://db/x", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////no/such/folder/x.db",
		"postgres://nobody:pa55word@127.0.0.1:1/none?connect_timeout=1", "postgres://user:pa55word@host:port/x",
	} {
		config := realworld.Config{DatabaseURL: url, Secret: secret, PasswordCost: cheap, Listen: "127.0.0.1:0"}
		err := realworld.Run(t.Context(), config, io.Discard)
		if err == nil || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: got %v, want an error without the password", url, err)
		}
	}
}

// In development a server needs nothing, says so loudly, and leaves nothing.
func TestDevelopment(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	config, err := realworld.ConfigFromEnvironment(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, config)
	if status := s.get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
	s.stop()
	if log := s.log.String(); !strings.Contains(log, `"level":"WARN","msg":"DEVELOPMENT MODE`) {
		t.Errorf("not said loudly:\n%s", log)
	}
}

// A balancer sends steady traffic to a server until its readiness probe fails,
// then to its successor, which is what Kubernetes and a proxy do together.
// Connections are kept alive, and no request is ever sent twice.
func TestStopLosesNoRequest(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		config := realworld.Config{DatabaseURL: databaseURL, Secret: secret, PasswordCost: cheap, Origins: []string{"*"}, ShutdownDelay: 400 * time.Millisecond}
		old, next := startServer(t, config), startServer(t, config)
		var current atomic.Pointer[server]
		current.Store(old)

		ctx, cancel := context.WithCancel(t.Context())
		var answered atomic.Int64
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for ctx.Err() == nil {
					// A POST that is no longer whole cannot be sent again unnoticed.
					response, err := client.Post(current.Load().url+"/api/users/login", "application/json", io.NopCloser(strings.NewReader(`{"user": {"email": "a@example.com", "password": "password"}}`)))
					if err != nil {
						t.Error(err)
						continue
					}
					if _, err := io.Copy(io.Discard, response.Body); err != nil {
						t.Error(err)
					}
					response.Body.Close()
					if response.StatusCode != http.StatusUnauthorized {
						t.Errorf("got %s", response.Status)
					}
					answered.Add(1)
				}
			})
		}
		waitFor(t, func() bool { return answered.Load() > 200 })
		old.cancel()
		waitFor(t, func() bool { return old.get("/readyz") == http.StatusServiceUnavailable })
		if status := old.get("/healthz"); status != http.StatusOK {
			t.Errorf("healthz while stopping: %d", status)
		}
		current.Store(next)
		old.stop()
		before := answered.Load()
		waitFor(t, func() bool { return answered.Load() > before+200 })
		cancel()
		clients.Wait()
		next.stop()
	})
}

// A server is one that [realworld.Serve] runs.
type server struct {
	*testing.T
	url    string
	log    *locked
	cancel context.CancelFunc
	ended  chan error
}

func startServer(t *testing.T, config realworld.Config) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{T: t, url: "http://" + listener.Addr().String(), log: &locked{to: new(bytes.Buffer)}, cancel: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- realworld.Serve(ctx, config, listener, s.log) }()
	return s
}

// stop waits until the server has stopped by itself.
func (s *server) stop() {
	s.Helper()
	s.cancel()
	if err := <-s.ended; err != nil {
		s.Error(err)
	}
}

// get returns the status of a request on a connection of its own.
func (s *server) get(path string) int {
	s.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(s.url + path)
	if err != nil {
		s.Error(err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
