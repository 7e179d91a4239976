// Command watch looks at a cluster from within it and tells people of what breaks
// and stays broken. Settings come by flags, and what is secret by files of one
// folder. See docs/alerts.md. Called as "watch expire", it removes a namespace whose time
// is over.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // schedules may be of any zone, and the image has no files of them

	"k8s.io/klog/v2"

	"berth/internal/alert"
	"berth/internal/watch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	klog.SetSlogLogger(log)
	// Some of the services that messages go to have no time limit of their own.
	http.DefaultClient.Timeout = 30 * time.Second
	err := run(ctx, os.Args[1:], log)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil && ctx.Err() == nil {
		log.Error("the watch has failed", "error", err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, log *slog.Logger) error {
	if len(arguments) > 0 && arguments[0] == "expire" {
		return expire(ctx, arguments[1:], log)
	}
	o := watch.Options{Log: log}
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of the cluster (default the cluster this runs in)")
	namespaces := flags.String("namespaces", "", "namespaces to watch, separated by commas")
	secrets := flags.String("secrets", "/etc/watch", "folder with the files ALERTS_URL, ALERTS_PING_URL and masks.json")
	flags.StringVar(&o.Home, "home", "watch", "namespace to keep what was told in")
	flags.StringVar(&o.Name, "cluster", "cluster", "what the cluster is called in messages")
	flags.StringVar(&o.Status, "status", ":8080", "address to answer /healthz, /status and /test on")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	for name := range strings.SplitSeq(*namespaces, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.Namespaces = append(o.Namespaces, name)
		}
	}
	urls, err := read(filepath.Join(*secrets, "ALERTS_URL"))
	if err != nil {
		return err
	}
	if o.Destinations, err = alert.Parse(string(urls)); err != nil {
		return fmt.Errorf("ALERTS_URL: %w", err)
	}
	ping, err := read(filepath.Join(*secrets, "ALERTS_PING_URL"))
	if err != nil {
		return err
	}
	o.Ping = strings.TrimSpace(string(ping))
	masks, err := read(filepath.Join(*secrets, "masks.json"))
	if err != nil {
		return err
	}
	if len(masks) > 0 {
		if err := json.Unmarshal(masks, &o.Masks); err != nil {
			return fmt.Errorf("masks.json: %w", err)
		}
	}
	if o.Kubernetes, err = restConfig(*kubeconfig); err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	return watch.Run(ctx, o)
}

// read returns a file of the folder of secrets; one that is not there is empty.
func read(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
