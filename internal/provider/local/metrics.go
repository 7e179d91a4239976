package local

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	discoveryapply "k8s.io/client-go/applyconfigurations/discovery/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

// metrics-server measures nodes and pods, for autoscalers, berth status and
// kubectl top. It serves the API metrics.k8s.io, for which the API server stands
// before it: that proves who it is by the front proxy's certificate, and names
// the caller in headers.
// https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
const (
	metricsService = "metrics-server"
	// frontProxyAuthority signs the API server's certificate as a front proxy,
	// and no other: who has one may speak in anybody's name.
	frontProxyAuthority = "front-proxy"
	frontProxyUser      = "front-proxy-client"
)

func (p *Provider) serveMetrics(ctx context.Context, plane controlPlane, client kubernetes.Interface) error {
	config, err := p.restConfig()
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	return plane.serveMetrics(ctx, client, objects)
}

// serveMetrics tells the cluster of metrics-server, which is no pod of it, and
// says what it may read and who may read it.
func (c controlPlane) serveMetrics(ctx context.Context, client kubernetes.Interface, objects dynamic.Interface) error {
	options := metav1.ApplyOptions{FieldManager: "berth", Force: true}
	for _, role := range []*rbac.ClusterRoleApplyConfiguration{
		rbac.ClusterRole(metricsUser).WithRules(
			rbac.PolicyRule().WithAPIGroups("").WithResources("nodes/metrics").WithVerbs("get"),
			rbac.PolicyRule().WithAPIGroups("").WithResources("nodes", "pods").WithVerbs("get", "list", "watch"),
			rbac.PolicyRule().WithAPIGroups("authentication.k8s.io").WithResources("tokenreviews").WithVerbs("create"),
			rbac.PolicyRule().WithAPIGroups("authorization.k8s.io").WithResources("subjectaccessreviews").WithVerbs("create"),
		),
		rbac.ClusterRole("system:aggregated-metrics-reader").WithLabels(map[string]string{
			"rbac.authorization.k8s.io/aggregate-to-view":  "true",
			"rbac.authorization.k8s.io/aggregate-to-edit":  "true",
			"rbac.authorization.k8s.io/aggregate-to-admin": "true",
		}).WithRules(rbac.PolicyRule().WithAPIGroups("metrics.k8s.io").WithResources("nodes", "pods").WithVerbs("get", "list", "watch")),
	} {
		if _, err := client.RbacV1().ClusterRoles().Apply(ctx, role, options); err != nil {
			return fmt.Errorf("apply role %s: %w", *role.Name, err)
		}
	}
	if err := bind(ctx, client, metricsUser, metricsUser); err != nil {
		return err
	}
	const port = "https"
	service := coreapply.Service(metricsService, metav1.NamespaceSystem).WithSpec(coreapply.ServiceSpec().
		WithPorts(coreapply.ServicePort().WithName(port).WithPort(443).WithProtocol(core.ProtocolTCP)))
	if _, err := client.CoreV1().Services(metav1.NamespaceSystem).Apply(ctx, service, options); err != nil {
		return fmt.Errorf("apply the Service of metrics-server: %w", err)
	}
	endpoints := discoveryapply.EndpointSlice(metricsService, metav1.NamespaceSystem).
		WithLabels(map[string]string{discovery.LabelServiceName: metricsService, discovery.LabelManagedBy: "berth"}).
		WithAddressType(discovery.AddressTypeIPv4).
		WithPorts(discoveryapply.EndpointPort().WithName(port).WithPort(metricsPort).WithProtocol(core.ProtocolTCP)).
		WithEndpoints(discoveryapply.Endpoint().WithAddresses(c.network.api().String()).
			WithConditions(discoveryapply.EndpointConditions().WithReady(true)))
	if _, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).Apply(ctx, endpoints, options); err != nil {
		return fmt.Errorf("apply the EndpointSlice of metrics-server: %w", err)
	}
	authority, err := os.ReadFile(c.layout.pki("kubernetes-ca.crt"))
	if err != nil {
		return fmt.Errorf("read the authority of metrics-server: %w", err)
	}
	resource := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	api := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": resource.GroupVersion().String(), "kind": "APIService",
		"metadata": map[string]any{"name": "v1beta1.metrics.k8s.io"},
		"spec": map[string]any{
			"group": "metrics.k8s.io", "version": "v1beta1",
			"groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"service":  map[string]any{"namespace": metav1.NamespaceSystem, "name": metricsService, "port": int64(443)},
			"caBundle": base64.StdEncoding.EncodeToString(authority),
		},
	}}
	if _, err := objects.Resource(resource).Apply(ctx, api.GetName(), api, options); err != nil {
		return fmt.Errorf("apply the APIService of metrics-server: %w", err)
	}
	return nil
}

func (c controlPlane) metricsArguments() []string {
	l := c.layout
	kubeconfig := l.kubeconfig(metricsUser)
	return []string{
		"--bind-address", c.network.api().String(), "--secure-port", fmt.Sprint(metricsPort),
		"--tls-cert-file", l.pki(metricsService + ".crt"), "--tls-private-key-file", l.pki(metricsService + ".key"),
		"--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
		"--client-ca-file", l.pki("kubernetes-ca.crt"),
		"--requestheader-client-ca-file", l.pki(frontProxyAuthority + "-ca.crt"), "--requestheader-allowed-names", frontProxyUser,
		"--authentication-skip-lookup", // of what has just been said
		"--kubelet-certificate-authority", l.pki("kubernetes-ca.crt"), "--kubelet-preferred-address-types", "InternalIP",
		"--metric-resolution", "15s", "--profiling=false",
	}
}
