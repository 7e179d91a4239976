package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"berth/internal/ingress"
	"berth/internal/ingress/nginx"
)

// Options are the settings of Run.
type Options struct {
	Kubernetes *rest.Config
	Settings   ingress.Settings
	Binary     string         // of nginx
	Status     netip.AddrPort // /healthz, /readyz, /metrics
	// Metrics is where /metrics is served to others than this machine: to the
	// service account Reader alone, as NAMESPACE/NAME. The zero value is nowhere.
	Metrics netip.AddrPort
	Reader  string
	Publish []netip.Addr // written to the status of Ingresses
	// Certificates is the ConfigMap to publish in when certificates end, as
	// NAMESPACE/NAME; empty for none.
	Certificates string
	Memory       uint64 // that this container may use in bytes, 0 for no limit
	Log          *slog.Logger
}

// Run serves until the context ends and then stops NGINX in peace, within the
// settings' shutdown timeout. It returns an error if NGINX ends by itself.
func Run(ctx context.Context, options Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log.SetLogger(logr.FromSlogHandler(options.Log.Handler()))
	klog.SetSlogLogger(options.Log)

	server := &nginx.Server{
		Binary: options.Binary, Settings: options.Settings, Log: options.Log, Stdout: os.Stdout,
		MemoryLimit: options.Memory / 100 * 85, // the rest is for this controller
		OnExit:      func(err error) { cancel(fmt.Errorf("nginx has ended by itself: %v", err)) },
	}
	if err := server.Prepare(); err != nil {
		return err
	}
	manager, err := newManager(options)
	if err != nil {
		return err
	}
	reconciler := &Reconciler{
		Client: manager.GetClient(), Events: manager.GetEventRecorder("berth-ingress"), NGINX: server, Log: options.Log,
	}
	reconciler.Certificates.Namespace, reconciler.Certificates.Name, _ = strings.Cut(options.Certificates, "/")
	for _, address := range options.Publish {
		reconciler.Addresses = append(reconciler.Addresses, networkingv1.IngressLoadBalancerIngress{IP: address.String()})
	}
	if err := watch(manager, reconciler); err != nil {
		return err
	}
	if err := manager.Add(ctrlmanager.RunnableFunc(reconciler.PublishStatuses)); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	go server.WatchDisk(ctx)
	for _, collector := range []prometheus.Collector{stubStatus{server.Get}, requests{get: server.Get, pod: reconciler.pods.of}} {
		if err := metrics.Registry.Register(collector); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	stopStatus, err := serveStatus(options.Status, statusHandler(reconciler.Ready, server.Get, reconciler.pods.of), options.Log)
	if err != nil {
		return err
	}
	defer stopStatus()
	if options.Metrics.IsValid() {
		stopMetrics, err := serveStatus(options.Metrics, newReaders(manager.GetClient(), options.Reader).protect(metricsHandler()), options.Log)
		if err != nil {
			return err
		}
		defer stopMetrics()
	}

	runErr := manager.Start(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause // nothing is left to stop
	}
	options.Log.Info("nginx finishes its requests", "limit", options.Settings.ShutdownTimeout.String())
	stopCtx, stop := context.WithTimeout(context.Background(), options.Settings.ShutdownTimeout)
	defer stop()
	if err := server.Stop(stopCtx); err != nil {
		return errors.Join(runErr, fmt.Errorf("stop nginx: %w", err))
	}
	return runErr
}

func newManager(options Options) (ctrl.Manager, error) {
	// The controller may read every Secret, since RBAC knows no types. It asks
	// for none of the types that cannot hold a certificate for it, so that
	// passwords and tokens never reach its memory.
	certificates := fields.AndSelectors(
		fields.OneTermNotEqualSelector("type", string(corev1.SecretTypeOpaque)),
		fields.OneTermNotEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)),
		fields.OneTermNotEqualSelector("type", string(corev1.SecretTypeDockerConfigJson)),
		fields.OneTermNotEqualSelector("type", "helm.sh/release.v1"),
	)
	// Statuses of thousands of Ingresses are written beside what routing needs.
	kubernetes := rest.CopyConfig(options.Kubernetes)
	kubernetes.QPS, kubernetes.Burst = 50, 100
	manager, err := ctrl.NewManager(kubernetes, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"}, // served with the rest, see serveStatus
		Cache: cache.Options{
			ByObject:         map[client.Object]cache.ByObject{&corev1.Secret{}: {Field: certificates}},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the controller: %w", err)
	}
	return manager, nil
}

// watch makes every change of an object that a configuration is made from ask
// for a reconciliation, and asks for the first.
func watch(manager ctrl.Manager, reconciler reconcile.Reconciler) error {
	everything := reconcile.Request{}
	enqueue := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{everything}
	})
	first := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(everything)
		return nil
	})
	err := ctrl.NewControllerManagedBy(manager).Named("ingress").
		Watches(&networkingv1.Ingress{}, enqueue).
		Watches(&networkingv1.IngressClass{}, enqueue).
		Watches(&corev1.Service{}, enqueue).
		Watches(&discoveryv1.EndpointSlice{}, enqueue).
		Watches(&corev1.Secret{}, enqueue).
		WatchesRawSource(first).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("watch the cluster: %w", err)
	}
	return nil
}

// statusHandler answers /healthz while NGINX answers or has not been started
// yet, /readyz while it serves a configuration, and /metrics: with a namespace,
// the requests to that one alone.
func statusHandler(ready func() bool, get func(context.Context, string) ([]byte, error), pod func(namespace, address string) string) http.Handler {
	check := func(need func() bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !ready() {
				if need() {
					http.Error(w, "no configuration is being served yet", http.StatusServiceUnavailable)
				}
				return
			}
			if _, err := get(r.Context(), "/generation"); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", check(func() bool { return false }))
	mux.HandleFunc("GET /readyz", check(func() bool { return true }))
	all := metricsHandler()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		namespace := r.URL.Query().Get("namespace")
		if namespace == "" {
			all.ServeHTTP(w, r)
			return
		}
		one := prometheus.NewRegistry()
		one.MustRegister(requests{get, pod, namespace})
		promhttp.HandlerFor(one, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
	return mux
}

func metricsHandler() http.Handler {
	return promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{})
}

func serveStatus(address netip.AddrPort, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("listen for status: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("status is no longer served", "error", err)
		}
	}()
	return func() {
		if err := server.Close(); err != nil {
			log.Warn("close the status server", "error", err)
		}
	}, nil
}
