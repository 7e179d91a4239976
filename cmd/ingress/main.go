// Command ingress serves the Ingress objects of a local cluster with Debian's
// NGINX. See docs/ingress.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/ingress"
	"berth/internal/ingress/controller"
	"berth/internal/ingress/nginx"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	options, kubeconfig, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ingress:", err)
		os.Exit(2)
	}
	if err := run(ctx, options, kubeconfig); err != nil {
		options.Log.Error("ingress has failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, options controller.Options, kubeconfig string) (err error) {
	if options.Settings.HTTP2Directive, err = nginx.HasHTTP2Directive(ctx, options.Binary); err != nil {
		return err
	}
	if err := fit(&options); err != nil {
		return err
	}
	if options.Kubernetes, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	return controller.Run(ctx, options)
}

// fit chooses what the flags leave to this container's memory and processors.
func fit(options *controller.Options) (err error) {
	if options.Memory, err = nginx.MemoryLimit(); err != nil {
		return err
	}
	if options.Settings.Workers == 0 {
		options.Settings.Workers = nginx.Workers(runtime.GOMAXPROCS(0), options.Memory)
	}
	return options.Settings.Validate()
}

// parse reads the flags. What is wrong with them is an error, and the usage has
// been written to stderr.
func parse(arguments []string, stderr io.Writer) (options controller.Options, kubeconfig string, err error) {
	flags := flag.NewFlagSet("ingress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	http := flags.String("http", "127.0.0.1:8080", "addresses to serve HTTP on, separated by commas")
	https := flags.String("https", "127.0.0.1:8443", "addresses to serve HTTPS on, separated by commas")
	publicPort := flags.Uint("public-https-port", 0, "port that redirects to HTTPS name (default that of -https)")
	status := flags.String("status", "127.0.0.1:10254", "address to serve /healthz, /readyz and /metrics on")
	metrics := flags.String("metrics", "", "address to serve /metrics on for -metrics-reader (default none)")
	flags.StringVar(&options.Reader, "metrics-reader", "metrics/metrics", "service account that may read -metrics, as NAMESPACE/NAME")
	publish := flags.String("publish", "", "addresses to write into the status of Ingresses (default those of -http)")
	flags.StringVar(&options.Certificates, "certificates", "", "ConfigMap to publish in when certificates end, as NAMESPACE/NAME")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default the cluster this runs in)")
	s := &options.Settings
	flags.StringVar(&options.Binary, "nginx", "/usr/sbin/nginx", "path of nginx")
	flags.StringVar(&s.Dir, "dir", "/run/ingress", "folder for NGINX's files")
	flags.StringVar(&s.UploadDir, "uploads", "", "folder for request bodies that do not fit into memory (default one in -dir)")
	flags.Uint64Var(&s.UploadReserve, "upload-reserve", ingress.DefaultUploadReserve, "bytes that stay free on the disk of -uploads")
	flags.IntVar(&s.BodiesPerClient, "bodies-per-client", ingress.DefaultBodiesPerClient, "requests with a body that one address may have under way, 0 for any number")
	flags.Int64Var(&s.HeaderBuffer, "header-buffer", ingress.DefaultHeaderBuffer, "most bytes that the header of a response may take")
	flags.IntVar(&s.Workers, "workers", 0, "worker processes of NGINX (default as many as memory and processors allow)")
	flags.StringVar(&s.Modules, "modules", ingress.DebianModules, "folder of NGINX's modules")
	flags.StringVar(&s.TrustedCA, "trusted-ca", ingress.DebianTrustedCA, "certificates that verify TLS upstreams by default")
	flags.StringVar(&s.AccessLog, "access-log", "/dev/stdout", `file to log requests to, or "off"`)
	flags.DurationVar(&s.ShutdownTimeout, "shutdown-timeout", 25*time.Second, "how long requests and WebSockets may continue when a configuration is replaced or the controller stops")
	if err := flags.Parse(arguments); err != nil {
		return options, "", err
	}
	if flags.NArg() > 0 {
		return options, "", fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	options.Log = slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if s.HTTP, err = list(*http, netip.ParseAddrPort); err != nil {
		return options, "", fmt.Errorf("-http: %w", err)
	}
	if s.HTTPS, err = list(*https, netip.ParseAddrPort); err != nil {
		return options, "", fmt.Errorf("-https: %w", err)
	}
	if options.Status, err = netip.ParseAddrPort(*status); err != nil {
		return options, "", fmt.Errorf("-status: %w", err)
	}
	if *metrics != "" {
		if options.Metrics, err = netip.ParseAddrPort(*metrics); err != nil {
			return options, "", fmt.Errorf("-metrics: %w", err)
		}
	}
	if *publicPort > 65535 {
		return options, "", fmt.Errorf("-public-https-port: want at most 65535")
	}
	s.PublicHTTPSPort = uint16(*publicPort)
	if s.PublicHTTPSPort == 0 {
		s.PublicHTTPSPort = s.HTTPS[0].Port()
	}
	if *publish != "" {
		if options.Publish, err = list(*publish, netip.ParseAddr); err != nil {
			return options, "", fmt.Errorf("-publish: %w", err)
		}
	} else {
		for _, address := range s.HTTP {
			if !address.Addr().IsUnspecified() {
				options.Publish = append(options.Publish, address.Addr())
			}
		}
	}
	checked := *s
	checked.Workers = max(1, s.Workers) // chosen later
	return options, kubeconfig, checked.Validate()
}

func list[T any](text string, parse func(string) (T, error)) (all []T, err error) {
	for part := range strings.SplitSeq(text, ",") {
		value, err := parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}
