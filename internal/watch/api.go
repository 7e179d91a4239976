package watch

import (
	"context"
	"fmt"
	"io"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// API is what the watch asks of Kubernetes. It has clients for five groups of objects and
// not client-go's clientset, which brings those for everything that Kubernetes knows:
// the program would be twice as large, and so would be its share of the node's memory.
type API struct {
	core, apps, batch, coordination, networking rest.Interface
	parameters                                  runtime.ParameterCodec
}

// Connect returns the way to a cluster.
func Connect(reach *rest.Config) (*API, error) {
	reach = rest.CopyConfig(reach)
	reach.AcceptContentTypes, reach.ContentType = "application/vnd.kubernetes.protobuf,application/json", "application/vnd.kubernetes.protobuf"
	reach.UserAgent = "berth-watch"
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	a := &API{parameters: runtime.NewParameterCodec(scheme)}
	client, err := rest.HTTPClientFor(reach)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	for _, group := range []struct {
		version schema.GroupVersion
		add     func(*runtime.Scheme) error
		client  *rest.Interface
	}{
		{core.SchemeGroupVersion, core.AddToScheme, &a.core},
		{apps.SchemeGroupVersion, apps.AddToScheme, &a.apps},
		{batch.SchemeGroupVersion, batch.AddToScheme, &a.batch},
		{coordination.SchemeGroupVersion, coordination.AddToScheme, &a.coordination},
		{networking.SchemeGroupVersion, networking.AddToScheme, &a.networking},
	} {
		if err := group.add(scheme); err != nil {
			return nil, fmt.Errorf("connect to the API server: %w", err)
		}
		of := rest.CopyConfig(reach)
		of.GroupVersion, of.APIPath = &group.version, "/apis"
		if group.version.Group == "" {
			of.APIPath = "/api"
		}
		of.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		if *group.client, err = rest.RESTClientForConfigAndClient(of, client); err != nil {
			return nil, fmt.Errorf("connect to the API server: %w", err)
		}
	}
	return a, nil
}

// Log reads the log of a container.
func (a *API) Log(ctx context.Context, namespace, pod string, o *core.PodLogOptions) (io.ReadCloser, error) {
	return a.core.Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("log").VersionedParams(o, a.parameters).Stream(ctx)
}

func (a *API) configMap(ctx context.Context, namespace, name string) (*core.ConfigMap, error) {
	found := new(core.ConfigMap)
	return found, a.core.Get().Namespace(namespace).Resource("configmaps").Name(name).Do(ctx).Into(found)
}

func (a *API) createConfigMap(ctx context.Context, object *core.ConfigMap) error {
	return a.core.Post().Namespace(object.Namespace).Resource("configmaps").Body(object).Do(ctx).Error()
}

func (a *API) updateConfigMap(ctx context.Context, object *core.ConfigMap) error {
	return a.core.Put().Namespace(object.Namespace).Resource("configmaps").Name(object.Name).Body(object).Do(ctx).Error()
}

func (a *API) ingresses(ctx context.Context) ([]networking.Ingress, error) {
	found := new(networking.IngressList)
	err := a.networking.Get().Resource("ingresses").Do(ctx).Into(found)
	return found.Items, err
}

// Namespace returns a namespace.
func (a *API) Namespace(ctx context.Context, name string) (*core.Namespace, error) {
	found := new(core.Namespace)
	return found, a.core.Get().Resource("namespaces").Name(name).Do(ctx).Into(found)
}

// RemoveNamespace removes a namespace, if it still is the one that was seen.
func (a *API) RemoveNamespace(ctx context.Context, seen *core.Namespace) error {
	options := &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(seen.UID))}
	return a.core.Delete().Resource("namespaces").Name(seen.Name).Body(options).Do(ctx).Error()
}
