package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/registry"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/provider"
)

// published is a chart in an OCI registry, at one version.
type published struct{ repository, version string }

func (p published) String() string { return p.repository + ":" + p.version }

// The charts of others that a cluster in a cloud gets.
var (
	nginxChart       = published{"ghcr.io/nginx/charts/nginx-ingress", "2.6.4"}
	certManagerChart = published{"quay.io/jetstack/charts/cert-manager", "v1.21.0"}
)

const (
	// pullTime bounds one request to a registry.
	pullTime = 2 * time.Minute
	// balancerTime bounds how long a cloud may take to make a load balancer.
	balancerTime = 15 * time.Minute
)

// pull fetches a chart. Charts for everybody need no login, so none of the
// caller's is used.
func (p published) pull(options ...registry.ClientOption) (*chart.Chart, error) {
	web := &http.Client{Timeout: pullTime}
	options = append([]registry.ClientOption{
		registry.ClientOptHTTPClient(web), registry.ClientOptAuthorizer(auth.Client{Client: web}),
	}, options...)
	client, err := registry.NewClient(options...)
	if err != nil {
		return nil, err
	}
	pulled, err := client.Pull(p.String())
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("fetch chart %s: %w", p, err), "check that this machine reaches %s", p.repository)
	}
	found, err := loader.LoadArchive(bytes.NewReader(pulled.Chart.Data))
	if err != nil {
		return nil, fmt.Errorf("read chart %s: %w", p, err)
	}
	return found, nil
}

// behindLoadBalancer are the parts of a cluster whose requests come by a cloud's
// load balancer.
func behindLoadBalancer(cluster *provider.Cluster) []part {
	in := cluster.LoadBalancer
	all := []part{{
		title: "Install the ingress controller", published: nginxChart, name: "nginx-ingress", namespace: "ingress",
		security: "baseline", // it listens on ports below 1024
		values:   nginxValues(cluster.IngressClass, in), timeout: balancerTime,
	}}
	if in.Certificates {
		all = append(all, part{
			title: "Install cert-manager", published: certManagerChart, name: "cert-manager", namespace: "cert-manager",
			security: "restricted", values: certManagerValues(), timeout: readyTimeout,
		})
	}
	return all
}

// nginxValues are those of F5's NGINX Ingress Controller,
// https://docs.nginx.com/nginx-ingress-controller/install/helm/parameters.
func nginxValues(class string, in *provider.LoadBalancer) map[string]any {
	annotations := map[string]any{}
	for name, value := range in.Annotations {
		annotations[name] = value
	}
	labels := map[string]any{"app.kubernetes.io/name": "nginx-ingress", "app.kubernetes.io/instance": "nginx-ingress"}
	return map[string]any{
		"controller": map[string]any{
			"replicaCount": 2,
			"ingressClass": map[string]any{"name": class, "create": true},
			// Ingresses are all that berth makes.
			"enableCustomResources": false,
			"telemetryReporting":    map[string]any{"enable": false},
			"service": map[string]any{
				"type": "LoadBalancer",
				// Only nodes with a controller get requests, which keep the
				// client's address that way.
				"externalTrafficPolicy": "Local",
				"annotations":           annotations,
			},
			// The controller goes on serving until the load balancer has seen
			// that it leaves.
			"lifecycle":                     map[string]any{"preStop": map[string]any{"exec": map[string]any{"command": []any{"sleep", "20"}}}},
			"terminationGracePeriodSeconds": 80,
			"podDisruptionBudget":           map[string]any{"enabled": true, "maxUnavailable": 1},
			"topologySpreadConstraints": []any{map[string]any{
				"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
				"labelSelector": map[string]any{"matchLabels": labels},
			}},
			"config": map[string]any{"entries": map[string]any{
				"http2": "true", "server-tokens": "false", "worker-shutdown-timeout": "60s",
			}},
			"readOnlyRootFilesystem": true,
			"resources":              map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "128Mi"}},
		},
	}
}

// certManagerValues are those of cert-manager,
// https://artifacthub.io/packages/helm/cert-manager/cert-manager.
func certManagerValues() map[string]any {
	return map[string]any{
		// The definitions go with the chart but stay when it goes: with them
		// would go every certificate.
		"crds":   map[string]any{"enabled": true, "keep": true},
		"global": map[string]any{"leaderElection": map[string]any{"namespace": "cert-manager"}},
	}
}

// issuers are Let's Encrypt's services by the names of their ClusterIssuers.
var issuers = map[string]string{
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
	"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
}

// applyIssuers makes the ClusterIssuers. cert-manager's webhook, which judges
// them, may take a while to serve after its pods are ready.
func applyIssuers(ctx context.Context, cluster *provider.Cluster, r progress.Reporter) error {
	client, err := dynamic.NewForConfig(kube.Config(cluster.REST))
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	resource := client.Resource(schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "clusterissuers"})
	return progress.Run(r, "Make the issuers of certificates", func(step progress.Step) error {
		ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("cert-manager does not take them"))
		defer cancel()
		for _, name := range slices.Sorted(maps.Keys(issuers)) {
			step.Detail(name)
			wanted := clusterIssuer(name, cluster.IngressClass, cluster.LoadBalancer.Email)
			var last error
			err := poll.Until(ctx, 2*time.Second, func(ctx context.Context) (bool, error) {
				_, last = resource.Apply(ctx, name, wanted, metav1.ApplyOptions{FieldManager: own.Manager, Force: true})
				if apierrors.IsInternalError(last) || apierrors.IsServiceUnavailable(last) {
					return false, nil
				}
				return last == nil, last
			})
			if err != nil && last != nil && !errors.Is(err, last) {
				err = fmt.Errorf("%w: %w", err, last)
			}
			if err != nil {
				return fmt.Errorf("make ClusterIssuer %s: %w", name, err)
			}
		}
		return nil
	})
}

// clusterIssuer is one of them, answering challenges over HTTP by the ingress
// controller.
func clusterIssuer(name, class, email string) *unstructured.Unstructured {
	acme := map[string]any{
		"server":              issuers[name],
		"privateKeySecretRef": map[string]any{"name": name + "-account"},
		"solvers": []any{map[string]any{"http01": map[string]any{"ingress": map[string]any{
			"ingressClassName": class, "serviceType": "ClusterIP",
		}}}},
	}
	if email != "" {
		acme["email"] = email
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer",
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"acme": acme},
	}}
}
