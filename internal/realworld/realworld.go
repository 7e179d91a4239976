// Package realworld is the RealWorld ("Conduit") API server, the application
// that Berth ships with. It puts the parts together and runs them:
//
//   - api: the HTTP side, a file for each resource
//   - store: what is kept, in SQLite or PostgreSQL
//   - password, token, slug: what their names say
//
// It knows nothing of Berth, Kubernetes or the platform around it.
package realworld

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"berth/internal/realworld/api"
	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
	"berth/internal/realworld/token"
)

const (
	// maxWaitingPasswords is how many logins may wait for their turn; one more
	// is told to come again. Hashing them all takes a few seconds, which is
	// about as long as anybody waits.
	maxWaitingPasswords = 64
	// stopTimeout is how long requests that are under way at the very end have.
	stopTimeout = 15 * time.Second
	// idleTimeout outlasts that of proxies (60 s in NGINX): the side that sends
	// requests must be the one that closes, or it may send one into a
	// connection that is being closed.
	idleTimeout = 90 * time.Second
)

// Run serves until ctx ends, then stops so that no request is lost. The log
// goes to out, a JSON object a line.
func Run(ctx context.Context, config Config, out io.Writer) error {
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return Serve(ctx, config, listener, out)
}

// Serve is Run on a listener, which it closes.
func Serve(ctx context.Context, config Config, listener net.Listener, out io.Writer) (err error) {
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: config.LogLevel}))
	closing := func(what string, close func() error) {
		if failure := close(); failure != nil && !errors.Is(failure, net.ErrClosed) {
			err = errors.Join(err, fmt.Errorf("close %s: %w", what, failure))
		}
	}
	defer closing("listener", listener.Close)

	if config.Development {
		folder, err := os.MkdirTemp("", "realworld-")
		if err != nil {
			return fmt.Errorf("make a folder for the database: %w", err)
		}
		defer closing("temporary database", func() error { return os.RemoveAll(folder) })
		config.DatabaseURL = "sqlite:///" + filepath.Join(folder, "realworld.db")
		log.Warn("DEVELOPMENT MODE: the secret is a random one, and the database is gone when this server stops; set DATABASE_URL and CONDUIT_SECRET to keep them")
	}

	tokens, err := token.NewSigner(config.Secret)
	if err != nil {
		return err
	}
	data, err := openStore(ctx, config, log)
	if err != nil {
		return err
	}
	defer closing("database", data.Close)
	// Half of the processors hash at most; the other half answers the rest.
	passwords := password.NewPool(max(1, runtime.GOMAXPROCS(0)/2), maxWaitingPasswords, config.PasswordCost)

	handler := api.New(data, passwords, tokens, log, config.Origins)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	scheme, serve := "http", server.Serve
	if config.CertFile != "" {
		scheme, serve = "https", func(l net.Listener) error { return server.ServeTLS(l, config.CertFile, config.KeyFile) }
	}
	go func() { served <- serve(listener) }()
	log.Info("serving", "address", scheme+"://"+listener.Addr().String(), "database", data.Name())

	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping", "delay", config.ShutdownDelay.String())
	handler.Drain()
	time.Sleep(config.ShutdownDelay)
	timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(timeout); err != nil {
		return fmt.Errorf("requests were still under way after %s: %w", stopTimeout, err)
	}
	log.Info("stopped")
	return nil
}

// openStore opens the database. One that starts at the same time as this
// server is waited for, as nothing says in which order a cluster starts them.
func openStore(ctx context.Context, config Config, log *slog.Logger) (*store.Store, error) {
	for deadline := time.Now().Add(config.DatabaseWait); ; {
		data, err := store.Open(ctx, config.DatabaseURL)
		if !errors.Is(err, store.ErrUnavailable) || time.Now().After(deadline) {
			return data, err
		}
		log.Warn("waiting for the database", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, err
		}
	}
}
