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
const drainTime = 500 * time.Millisecond

// confirmTime bounds the wait for workers of a new generation.
const confirmTime = 30 * time.Second

// Server is one NGINX. Its methods other than Get and WatchDisk are for one
// goroutine.
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
	// MemoryLimit is what NGINX's processes may hold in bytes, 0 for no limit.
	MemoryLimit uint64

	process    *os.Process
	exited     chan struct{}
	exit       error
	generation int
	fed        map[string]string // what endpoints.lua knows
	files      map[string]bool   // of the configuration in use
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
	for folder, mode := range map[string]fs.FileMode{"tls": 0o700, ingress.PasswordFolder: 0o711} {
		if err := os.MkdirAll(s.path(folder), mode); err != nil {
			return fmt.Errorf("make nginx's folder: %w", err)
		}
	}
	for name, content := range ingress.Scripts {
		if err := os.WriteFile(s.path(name), content, 0o644); err != nil {
			return fmt.Errorf("make nginx's folder: %w", err)
		}
	}
	for _, path := range []string{s.Settings.StatusSocket(), s.path("nginx.pid")} {
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
		// As root, NGINX has its workers run as nobody.
		if filepath.Dir(name) == ingress.PasswordFolder && os.Geteuid() == 0 {
			if err := os.Chown(s.path(name), nobody, nobody); err != nil {
				return fmt.Errorf("give passwords to nginx's workers: %w", err)
			}
		}
	}
	return writeFile(s.path("candidate.conf"), model.Render())
}

// nobody is the user and the group of that name on Debian.
const nobody = 65534

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
	endpoints := text(model.Endpoints)
	if s.process == nil {
		if err := s.start(); err != nil {
			return err
		}
	} else {
		// The new workers know their backends from the start, the old ones keep
		// theirs to the end.
		if err := s.feed(ctx, endpoints, false); err != nil {
			return err
		}
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
	if err := s.feed(ctx, endpoints, true); err != nil {
		return err
	}
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
	s.process, s.exited, s.fed = command.Process, make(chan struct{}), map[string]string{}
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

// drain makes the running workers close their clients' connections after the
// next response, and waits until those in use will have done so. Old workers
// close idle connections as soon as they are told to quit, and a request that is
// on its way just then is lost. (NGINX has keepalive_min_timeout for this since
// 1.27.4, newer than Debian's.)
func (s *Server) drain(ctx context.Context) error {
	if err := s.post(ctx, fmt.Appendf(nil, "%s %d\n", keyDrain, s.generation)); err != nil {
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

// WatchDisk tells NGINX, until the context ends, whether there is room for
// uploads.
func (s *Server) WatchDisk(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	was := ""
	for ; ; <-tick.C {
		if ctx.Err() != nil {
			return
		}
		room, err := s.room()
		if err != nil {
			continue // NGINX makes the folder when it starts
		}
		full := ""
		if room < s.Settings.UploadReserve {
			full = "1"
		}
		if full == was {
			continue
		}
		if err := s.post(ctx, fmt.Appendf(nil, "%s %s\n", keyFull, full)); err != nil {
			continue // not started yet
		}
		was = full
		s.Log.Warn("the disk for uploads has changed", "full", full != "", "free", room, "reserve", s.Settings.UploadReserve)
	}
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

// tidy removes files that neither the confirmed configuration names nor the one
// before, whose workers still finish.
func (s *Server) tidy(model *ingress.Model) error {
	for _, folder := range []string{"tls", ingress.PasswordFolder} {
		files, err := os.ReadDir(s.path(folder))
		if err != nil {
			return fmt.Errorf("tidy files: %w", err)
		}
		for _, entry := range files {
			name := filepath.Join(folder, entry.Name())
			if s.files[name] || model.Files[name] != nil {
				continue
			}
			if err := os.Remove(s.path(name)); err != nil {
				return fmt.Errorf("tidy files: %w", err)
			}
		}
	}
	s.files = map[string]bool{}
	for name := range model.Files {
		s.files[name] = true
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
