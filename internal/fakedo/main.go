// Command fakedo serves the fake DigitalOcean by itself, to try berth's
// provider without an account:
//
//	go run ./internal/fakedo -listen 127.0.0.1:8765 -kubeconfig FILE -s3 URL
//	export DIGITALOCEAN_API_URL=http://127.0.0.1:8765 SPACES_ENDPOINT_URL=http://127.0.0.1:8765
//
// Any DIGITALOCEAN_TOKEN is good. A first key for Spaces comes by the API, as by
// the control panel. The keys of the S3 server behind are taken from
// S3_ACCESS_KEY and S3_SECRET_KEY.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fakedo/fake"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fakedo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	options := fake.Options{S3AccessKey: os.Getenv("S3_ACCESS_KEY"), S3SecretKey: os.Getenv("S3_SECRET_KEY")}
	flags := flag.NewFlagSet("fakedo", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:8765", "`address` to serve the API and Spaces on")
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "`file` of the real cluster that every cluster of the account is")
	flags.StringVar(&options.S3, "s3", "", "`URL` of the S3 server behind Spaces")
	flags.StringVar(&options.StateFile, "state", "", "`file` that keeps the account over a restart")
	flags.DurationVar(&options.Delay, "delay", 0, "how long clusters, nodes and load balancers take")
	flags.IntVar(&options.RateLimit, "rate-limit", 0, "requests in each rate window; 0 is the real API's 5,000 an hour")
	flags.DurationVar(&options.RateWindow, "rate-window", time.Hour, "the rate limit's window")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if options.Kubeconfig != "" {
		options.NodeNames = nodeNames(options.Kubeconfig)
	}
	f, err := fake.New(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Printf("the fake DigitalOcean is at http://%s\n", listener.Addr())
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		f.Release()
		_ = server.Close() // Serve returns either way.
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// nodeNames lists the nodes of the real cluster. It may not be up yet.
func nodeNames(kubeconfig string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, err
		}
		config.Timeout = 10 * time.Second
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var names []string
		for _, node := range nodes.Items {
			names = append(names, node.Name)
		}
		return names, nil
	}
}
