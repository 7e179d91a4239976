package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

func buildServer(ctx context.Context, folder string) (binary string, err error) {
	binary = filepath.Join(folder, "realworld")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/realworld")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, output)
	}
	return binary, nil
}

// A server is the RealWorld server as a process, with the settings of its
// image and its log in a file.
type server struct {
	address string
	command *exec.Cmd
	log     *os.File
}

func startServer(ctx context.Context, folder, binary, databaseURL string) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{address: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		return nil, err
	}
	if s.log, err = os.CreateTemp(folder, "server-*.log"); err != nil {
		return nil, err
	}
	s.command = exec.CommandContext(ctx, binary)
	s.command.Env = []string{"DATABASE_URL=" + databaseURL, "LISTEN=" + s.address, "CONDUIT_SECRET=" + rand.Text() + rand.Text(), "SHUTDOWN_DELAY=0s"}
	s.command.Stdout, s.command.Stderr = s.log, s.log
	s.command.Cancel = func() error { return s.command.Process.Signal(syscall.SIGTERM) }
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + s.address + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		if time.Now().After(deadline) {
			log, readErr := os.ReadFile(s.log.Name())
			return nil, errors.Join(fmt.Errorf("the server does not become ready: %w\n%s", err, log), readErr, s.stop())
		}
	}
}

func (s *server) pid() int { return s.command.Process.Pid }

func (s *server) stop() error {
	err := s.command.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, s.command.Wait(), s.log.Close())
}

// A load is a request to be made as often as possible.
type load struct {
	name        string
	path        string
	body        string // makes it a POST
	token       string
	connections int // 0 for the usual number
	// turns, if any, are requests that are made in turns instead of this one.
	turns []load
	// targets are the requests per second to reach directly, by store.
	targets map[string]int
}

// loads are what is measured of a server at an address host:port.
func loads(ctx context.Context, address string) ([]load, error) {
	credentials := fmt.Sprintf(`{"user": {"email": %q, "password": %q}}`, email(0), plainPassword)
	token, err := login(ctx, address, credentials)
	if err != nil {
		return nil, err
	}
	return []load{
		{name: "list", path: "/api/articles", targets: map[string]int{"sqlite": 3000, "postgres": 2000}},
		{name: "article", path: "/api/articles/article-250-on-a-subject-of-some-interest", targets: map[string]int{"sqlite": 8000}},
		{name: "tags", path: "/api/tags", targets: map[string]int{"sqlite": 15000}},
		{name: "feed", path: "/api/articles/feed", token: token, targets: map[string]int{"sqlite": 2000}},
		{name: "login", path: "/api/users/login", body: credentials, connections: 4},
	}, nil
}

func login(ctx context.Context, address, credentials string) (token string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/api/users/login", bytes.NewReader([]byte(credentials)))
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ User struct{ Token string } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("log in: %s: %w", response.Status, err)
	}
	return answer.User.Token, nil
}
