// Package nginx runs one NGINX master process and gives it configurations.
//
// A configuration is tested before it is used and confirmed after: Apply
// returns when workers answer with the new generation. What NGINX refuses never
// replaces what it serves.
package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"berth/internal/ingress"
)

// drainTime is how long clients of HTTP/1.1 get to close their connections to
// workers that are about to be replaced.
const drainTime = 250 * time.Millisecond

// confirmTime bounds the wait for workers of a new generation.
const confirmTime = 10 * time.Second

// Server is one NGINX. Its methods other than Get are for one goroutine.
type Server struct {
	// Binary is the path of nginx, e.g. /usr/sbin/nginx.
	Binary string
	// Settings name its folder and its status socket.
	Settings ingress.Settings
	// Log gets what NGINX writes to its error log.
	Log *slog.Logger
	// Stdout gets what NGINX writes to /dev/stdout, the access log, in whole
	// lines. Nil discards it. NGINX opens the file by its name, which it may
	// only if its user owns the pipe behind it: so it gets a pipe of ours, never
	// one that a container runtime made as root.
	Stdout io.Writer
	// OnExit, if set, is told how the master process ended, nil for status 0.
	// Workers that it leaves behind end with the container.
	OnExit func(error)

	process    *os.Process
	exited     chan struct{}
	exit       error
	generation int
}

// RefusedError is NGINX's verdict on a configuration.
type RefusedError struct{ Output string }

func (e *RefusedError) Error() string { return "nginx refuses the configuration: " + e.Output }

// Version asks a binary for its version, e.g. 1.26.3.
func Version(ctx context.Context, binary string) (major, minor, patch int, err error) {
	out, err := exec.CommandContext(ctx, binary, "-v").CombinedOutput()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("ask nginx for its version: %w: %s", err, bytes.TrimSpace(out))
	}
	_, version, _ := strings.Cut(string(out), "nginx/")
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return 0, 0, 0, fmt.Errorf("nginx says its version is %q: %w", bytes.TrimSpace(out), err)
	}
	return major, minor, patch, nil
}

// HasHTTP2Directive reports whether a binary is 1.25.1 or newer, where HTTP/2
// became a directive: http://nginx.org/en/docs/http/ngx_http_v2_module.html#http2
func HasHTTP2Directive(ctx context.Context, binary string) (bool, error) {
	major, minor, patch, err := Version(ctx, binary)
	if err != nil {
		return false, err
	}
	return major > 1 || minor > 25 || (minor == 25 && patch >= 1), nil
}

// Prepare makes the folder and removes what an earlier process left in it.
func (s *Server) Prepare() error {
	for folder, mode := range map[string]fs.FileMode{"tls": 0o700, ingress.StateOpen: 0o755} {
		if err := os.MkdirAll(s.path(folder), mode); err != nil {
			return fmt.Errorf("make nginx's folder: %w", err)
		}
	}
	if err := os.WriteFile(s.path(ingress.StateDrain), nil, 0o644); err != nil {
		return fmt.Errorf("make nginx's folder: %w", err)
	}
	leftovers, err := filepath.Glob(s.path("state-*"))
	if err != nil {
		return fmt.Errorf("find what an earlier nginx left: %w", err)
	}
	for _, path := range append(leftovers, s.Settings.StatusSocket(), s.path("nginx.pid")) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an earlier nginx left: %w", err)
		}
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.Settings.Dir, name) }

// Test asks NGINX about a configuration. The error is a *RefusedError if that
// is what the configuration met with. The model's files stay written.
func (s *Server) Test(ctx context.Context, model *ingress.Model) error {
	if err := s.write(model); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, s.Binary, "-t", "-q", "-e", "stderr", "-p", s.Settings.Dir, "-c", s.path("candidate.conf"))
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return &RefusedError{string(bytes.TrimSpace(out))}
	}
	if err != nil {
		return fmt.Errorf("run nginx -t: %w", err)
	}
	return nil
}

// write puts a model's files where its configuration names them. Their names
// carry the hash of their content, so what exists is what is wanted.
func (s *Server) write(model *ingress.Model) error {
	for name, content := range model.Files {
		if _, err := os.Stat(s.path(name)); err == nil {
			continue
		}
		if err := writeFile(s.path(name), content); err != nil {
			return err
		}
	}
	return writeFile(s.path("candidate.conf"), model.Render())
}

func writeFile(path string, content []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Apply tests a model, starts NGINX with it or reloads it, and waits until its
// workers answer. The model's generation must be new to this process.
func (s *Server) Apply(ctx context.Context, model *ingress.Model) error {
	if err := s.Test(ctx, model); err != nil {
		return err
	}
	if err := os.Rename(s.path("candidate.conf"), s.path("nginx.conf")); err != nil {
		return fmt.Errorf("put the configuration in place: %w", err)
	}
	if err := s.setState(model.Generation, ingress.StateOpen); err != nil {
		return err
	}
	if s.process == nil {
		if err := s.start(); err != nil {
			return err
		}
	} else {
		if err := s.drain(ctx); err != nil {
			return err
		}
		if err := s.process.Signal(syscall.SIGHUP); err != nil {
			return fmt.Errorf("signal nginx to reload: %w", err)
		}
	}
	if err := s.confirm(ctx, model.Generation); err != nil {
		return err
	}
	s.generation = model.Generation
	return s.tidy(model)
}

func (s *Server) start() error {
	command := exec.Command(s.Binary, "-e", "stderr", "-p", s.Settings.Dir, "-c", s.path("nginx.conf"))
	accessLog := &lineWriter{out: s.Stdout}
	if s.Stdout != nil {
		command.Stdout = accessLog
	}
	errorLog := &errorLog{log: s.Log}
	command.Stderr = errorLog
	// A group of its own keeps a terminal's Ctrl-C from ending NGINX before it
	// has finished its requests.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		return fmt.Errorf("start nginx: %w", err)
	}
	s.process, s.exited = command.Process, make(chan struct{})
	go func() {
		s.exit = command.Wait()
		errorLog.flush()
		close(s.exited)
		if s.OnExit != nil {
			s.OnExit(s.exit)
		}
	}()
	return nil
}

// drain makes the running workers ask their clients to close, and waits until
// those in use will have done so.
func (s *Server) drain(ctx context.Context) error {
	if err := s.setState(s.generation, ingress.StateDrain); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.exited:
		return fmt.Errorf("nginx has ended: %v", s.exit)
	case <-time.After(drainTime):
		return nil
	}
}

// setState points a generation's link elsewhere, in one step.
func (s *Server) setState(generation int, state string) error {
	link := s.Settings.StateLink(generation)
	if err := os.Symlink(state, link+".next"); err != nil {
		return fmt.Errorf("set the state of generation %d: %w", generation, err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		return fmt.Errorf("set the state of generation %d: %w", generation, err)
	}
	return nil
}

// confirm waits until the answer on the status socket is of a generation.
func (s *Server) confirm(ctx context.Context, generation int) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		body, err := s.Get(ctx, "/generation")
		if err == nil && string(body) == strconv.Itoa(generation) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("nginx has ended: %v", s.exit)
		case <-ctx.Done():
			return fmt.Errorf("wait for nginx to serve generation %d: %w", generation, ctx.Err())
		case <-tick.C:
		}
	}
}

// Get asks NGINX on its status socket for /generation or /stub_status.
func (s *Server) Get(ctx context.Context, path string) ([]byte, error) {
	client := http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			// Each answer must come from a worker that accepts connections now.
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", s.Settings.StatusSocket())
			},
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://nginx"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask nginx for %s: %w", path, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask nginx for %s: %w", path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask nginx for %s: %s", path, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("ask nginx for %s: %w", path, err)
	}
	return body, nil
}

// tidy removes certificates that the confirmed configuration does not name, and
// the links of generations whose workers must have ended.
func (s *Server) tidy(model *ingress.Model) error {
	certificates, err := os.ReadDir(s.path("tls"))
	if err != nil {
		return fmt.Errorf("tidy certificates: %w", err)
	}
	for _, entry := range certificates {
		name := filepath.Join("tls", entry.Name())
		if _, used := model.Files[name]; used {
			continue
		}
		if err := os.Remove(s.path(name)); err != nil {
			return fmt.Errorf("tidy certificates: %w", err)
		}
	}
	links, err := filepath.Glob(s.path("state-*"))
	if err != nil {
		return fmt.Errorf("tidy links: %w", err)
	}
	for _, path := range links {
		info, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("tidy links: %w", err)
		}
		if path == s.Settings.StateLink(s.generation) || time.Since(info.ModTime()) < s.Settings.ShutdownTimeout+10*time.Second {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("tidy links: %w", err)
		}
	}
	return nil
}

// Stop lets NGINX finish its requests until the context ends, then ends it.
func (s *Server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	if err := s.drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) && !s.hasExited() {
		s.Log.Warn("nginx stops without draining", "error", err)
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   <-chan struct{}
	}{
		{syscall.SIGQUIT, ctx.Done()},
		{syscall.SIGTERM, after(2 * time.Second)},
		{syscall.SIGKILL, nil},
	} {
		if err := s.process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("signal nginx to stop: %w", err)
		}
		select {
		case <-s.exited:
			return s.exit
		case <-step.wait:
		}
	}
	<-s.exited
	return s.exit
}

func (s *Server) hasExited() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}
