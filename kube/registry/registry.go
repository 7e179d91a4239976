// Package registry serves the images of a local cluster: the upstream
// registry, which nobody has to stop for it to get rid of what no image needs
// any more.
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // registers itself
)

// options are what the command line says.
type options struct {
	root, listen, cert, key, htpasswd string
	grace                             time.Duration
}

// NewCommand returns the command that serves until it is stopped.
func NewCommand() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:          "registry",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return serve(ctx, o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.root, "root", "", "folder that holds the images")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:5000", "address to serve on")
	flags.StringVar(&o.cert, "cert", "", "TLS certificate file")
	flags.StringVar(&o.key, "key", "", "TLS key file")
	flags.StringVar(&o.htpasswd, "htpasswd", "", "file of the users, with bcrypt hashes")
	flags.DurationVar(&o.grace, "grace", time.Hour, "how long content that no image needs is kept after a client last asked for it")
	return command
}

func serve(ctx context.Context, o options) error {
	gate, err := open(ctx, o)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: o.listen, Handler: gate, ReadHeaderTimeout: 10 * time.Second}
	go gate.sweepEvery(ctx, o.grace)
	go func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			slog.Warn("requests were cut off", "error", err)
		}
	}()
	if err := server.ListenAndServeTLS(o.cert, o.key); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// open returns the registry of a folder.
func open(ctx context.Context, o options) (*gate, error) {
	logrus.SetLevel(logrus.ErrorLevel)
	logrus.SetFormatter(&failures{})
	driver, err := filesystem.FromParameters(map[string]any{"rootdirectory": o.root})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.root, err)
	}
	images, err := storage.NewRegistry(ctx, driver, storage.EnableDelete)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.root, err)
	}
	return &gate{
		next:  handlers.NewApp(ctx, o.configuration()),
		grace: o.grace,
		sweep: func(spared func(string) bool) error {
			return storage.MarkAndSweep(ctx, driver, sparing{images, spared}, storage.GCOpts{RemoveUntagged: true, Quiet: true})
		},
	}, nil
}

// configuration is upstream's. There is no cache of blob descriptors: it would
// go on naming what was swept.
func (o options) configuration() *configuration.Configuration {
	return &configuration.Configuration{
		HTTP: configuration.HTTP{Secret: rand.Text()}, // of uploads under way, which end with the process
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": o.root},
			"delete":     {"enabled": true},
		},
		Auth:    configuration.Auth{"htpasswd": {"realm": "berth", "path": o.htpasswd}},
		Catalog: configuration.Catalog{MaxEntries: 1000},
		Tags:    configuration.Tags{MaxTags: 1000},
	}
}

// failures leaves out what upstream calls an error and is everyday life: that a
// layer is not there yet is how a push learns that it must send it.
type failures struct{ logrus.TextFormatter }

func (f *failures) Format(e *logrus.Entry) ([]byte, error) {
	if status, ok := e.Data["http.response.status"].(int); ok && status < http.StatusInternalServerError {
		return nil, nil
	}
	return f.TextFormatter.Format(e)
}
