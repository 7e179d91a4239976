package realworld

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"berth/internal/fault"
	"berth/internal/realworld/password"
	"berth/internal/realworld/token"
)

// Config is how the server runs. [ConfigFromEnvironment] makes one.
type Config struct {
	// Development is a server for a first look: on this machine alone, with a
	// database and a secret that last until it stops.
	Development bool
	// Listen is the address to serve on, host:port.
	Listen string
	// DatabaseURL names the database, see [berth/internal/realworld/store.Open].
	// In development it is empty.
	DatabaseURL string
	// Secret signs the tokens.
	Secret []byte
	// CertFile and KeyFile are PEM files to serve HTTPS with, in the place of
	// HTTP; empty for HTTP.
	CertFile, KeyFile string
	// LogLevel is the least severe level that is logged.
	LogLevel slog.Level
	// ShutdownDelay is how long the server goes on answering after it was told
	// to stop, so that those who send it requests notice first.
	ShutdownDelay time.Duration
	// Origins are the browser front ends that may call; "*" stands for any.
	Origins []string
	// DatabaseWait is how long to wait at the start for a database that does not
	// answer yet.
	DatabaseWait time.Duration
	// PasswordCost is what hashing one password takes.
	PasswordCost password.Cost
}

// ConfigFromEnvironment reads the settings that docs/realworld.md lists. With
// none of LISTEN, DATABASE_URL and CONDUIT_SECRET set, outside of Kubernetes,
// the result is for development. Otherwise the last two must be there:
// no secret is ever made up for a server that others may reach.
func ConfigFromEnvironment(getenv func(string) string) (Config, error) {
	config := Config{
		Listen:        getenv("LISTEN"),
		DatabaseURL:   getenv("DATABASE_URL"),
		Secret:        []byte(getenv("CONDUIT_SECRET")),
		CertFile:      getenv("TLS_CERT_FILE"),
		KeyFile:       getenv("TLS_KEY_FILE"),
		ShutdownDelay: 5 * time.Second,
		Origins:       strings.Fields(strings.ReplaceAll(getenv("CORS_ORIGINS"), ",", " ")),
		PasswordCost:  password.DefaultCost,
	}
	if len(config.Origins) == 0 {
		config.Origins = []string{"*"}
	}
	if level := getenv("LOG_LEVEL"); level != "" {
		if err := config.LogLevel.UnmarshalText([]byte(level)); err != nil {
			return Config{}, fault.WithHint(fmt.Errorf("LOG_LEVEL: %w", err), "Levels: debug, info, warn, error")
		}
	}

	if (config.CertFile == "") != (config.KeyFile == "") {
		return Config{}, fault.WithHint(fmt.Errorf("only one of TLS_CERT_FILE and TLS_KEY_FILE is set"), "Set both to serve HTTPS, or none to serve HTTP")
	}
	config.Development = config.Listen == "" && config.DatabaseURL == "" && len(config.Secret) == 0 && getenv("KUBERNETES_SERVICE_HOST") == ""
	if config.Development {
		config.Listen = "127.0.0.1:8000"
		config.Secret = []byte(rand.Text() + rand.Text())
		config.ShutdownDelay = 0
	} else {
		config.DatabaseWait = 30 * time.Second
		if config.Listen == "" {
			config.Listen = ":8000"
		}
		if config.DatabaseURL == "" {
			return Config{}, fault.WithHint(fmt.Errorf("DATABASE_URL is not set"), "For example sqlite:////data/realworld.db or postgres://user:password@host:5432/name")
		}
		if len(config.Secret) < token.MinSecret {
			problem := fmt.Errorf("CONDUIT_SECRET has %d bytes and needs at least %d", len(config.Secret), token.MinSecret)
			if len(config.Secret) == 0 {
				problem = fmt.Errorf("CONDUIT_SECRET is not set")
			}
			return Config{}, fault.WithHint(problem, "Make one with: openssl rand -hex 32. Replicas share it; a new one ends all logins.")
		}
	}

	if delay := getenv("SHUTDOWN_DELAY"); delay != "" {
		var err error
		if config.ShutdownDelay, err = time.ParseDuration(delay); err != nil || config.ShutdownDelay < 0 {
			return Config{}, fault.WithHint(fmt.Errorf("SHUTDOWN_DELAY is not a duration: %q", delay), "For example 5s")
		}
	}
	return config, nil
}
