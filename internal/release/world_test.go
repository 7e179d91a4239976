package release

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	engine "helm.sh/helm/v4/pkg/kube"
	kubefake "helm.sh/helm/v4/pkg/kube/fake"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes/fake"
	restfake "k8s.io/client-go/rest/fake"
	"sigs.k8s.io/yaml"

	"berth/internal/config"
	"berth/internal/helm"
	"berth/internal/provider"
)

// world is a cluster without nodes: Helm's fakes, with what controllers and
// kubelets would make of an application's Deployment. Its pods do as their
// image says: "good:1" serves, "crash:1" crashes, "slow:1" never gets ready.
type world struct {
	kubefake.PrintingKubeClient
	t         *testing.T
	clientset *fake.Clientset
	storage   *storage.Storage
	revision  int
	// applied are the objects that were, each as "Deployment shop", in order.
	applied []string
	// refuse makes the API refuse the next objects.
	refuse error
	// onUpdate is told of what is applied and removed; nil for nobody.
	onUpdate func(original, target engine.ResourceList)
}

// quick makes seconds out of minutes. A Lease counts in whole seconds.
var quick = timeouts{
	poll: 2 * time.Millisecond, deploy: 5 * time.Second, back: 5 * time.Second, wayIn: 200 * time.Millisecond, look: time.Millisecond,
	lease: time.Second, renew: 20 * time.Millisecond,
}

// newWorld returns a cluster, and the releases of the application shop in its
// one environment, production.
func newWorld(t *testing.T) (*world, *Client) {
	w := &world{
		PrintingKubeClient: kubefake.PrintingKubeClient{Out: io.Discard},
		t:                  t, clientset: fake.NewClientset(),
	}
	records := driver.NewSecrets(w.clientset.CoreV1().Secrets("production"))
	records.SetLogger(slog.DiscardHandler)
	w.storage = storage.Init(records)
	c := &Client{
		cluster: &provider.Cluster{Name: "world", IngressClass: "nginx", MakesUpSecrets: true},
		config: &config.Config{
			Name: "shop", Port: 8000, Health: config.Health{Path: "/readyz", Timeout: config.Duration(3e9)}, Secrets: []string{"TOKEN"},
			DotEnv:       map[string]string{"TOKEN": "a very secret value"},
			Environments: map[string]config.Environment{"production": {Database: config.NoDatabase, Replicas: 2}},
		},
		kube: w.clientset, who: "mira@laptop", timeouts: quick, chart: loadChart,
	}
	c.release = func(namespace string) (*helm.Release, error) {
		settings := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
		store := storage.Init(records)
		store.SetLogger(slog.DiscardHandler)
		settings.Releases, settings.KubeClient = store, w
		settings.Capabilities = common.DefaultCapabilities.Copy()
		settings.Capabilities.KubeVersion = common.KubeVersion{Version: "v1.37.2", Major: "1", Minor: "37"}
		return helm.New(settings, namespace, "shop"), nil
	}
	return w, c
}

// Build reads a manifest, as Helm's client does from the API's discovery.
func (w *world) Build(manifest io.Reader, _ bool) (engine.ResourceList, error) {
	all, err := io.ReadAll(manifest)
	if err != nil {
		return nil, err
	}
	var list engine.ResourceList
	for document := range strings.SplitSeq("\n"+string(all), "\n---") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return nil, err
		}
		if object.Object == nil {
			continue
		}
		kind := object.GroupVersionKind()
		plural, _ := meta.UnsafeGuessKindToResource(kind)
		list.Append(&resource.Info{
			Client: nowhere, Name: object.GetName(), Namespace: "production", Object: object,
			Mapping: &meta.RESTMapping{GroupVersionKind: kind, Resource: plural, Scope: meta.RESTScopeNamespace},
		})
	}
	return list, nil
}

// nowhere is an API in which nothing is found, for Helm's look at what is
// there already.
var nowhere = &restfake.RESTClient{
	NegotiatedSerializer: resource.UnstructuredPlusDefaultContentConfig().NegotiatedSerializer,
	GroupVersion:         schema.GroupVersion{Version: "v1"},
	Client: restfake.CreateHTTPClient(func(*http.Request) (*http.Response, error) {
		body, err := runtime.Encode(unstructured.UnstructuredJSONScheme, status(apierrors.NewNotFound(schema.GroupResource{}, "")))
		return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body))}, err
	}),
}

func status(err *apierrors.StatusError) *unstructured.Unstructured {
	s := err.ErrStatus
	s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	object, conversion := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
	if conversion != nil {
		panic(conversion)
	}
	return &unstructured.Unstructured{Object: object}
}

func (w *world) Create(resources engine.ResourceList, _ ...engine.ClientCreateOption) (*engine.Result, error) {
	return w.Update(nil, resources)
}

func (w *world) Update(original, target engine.ResourceList, _ ...engine.ClientUpdateOption) (*engine.Result, error) {
	if err := w.refuse; err != nil {
		w.refuse = nil
		return &engine.Result{}, err
	}
	if w.onUpdate != nil {
		w.onUpdate(original, target)
	}
	for _, info := range target {
		w.applied = append(w.applied, info.Mapping.GroupVersionKind.Kind+" "+info.Name)
		if info.Mapping.GroupVersionKind.Kind != "Deployment" {
			continue
		}
		d := &apps.Deployment{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(info.Object.(*unstructured.Unstructured).Object, d); err != nil {
			return &engine.Result{}, err
		}
		w.roll(d)
	}
	return &engine.Result{Updated: target}, nil
}

func (w *world) GetWaiterWithOptions(strategy engine.WaitStrategy, _ ...engine.WaitOption) (engine.Waiter, error) {
	return w.GetWaiter(strategy)
}

// roll does at once what takes a cluster seconds: a ReplicaSet of the new
// template with its pods, and when those serve, no more of the old ones.
func (w *world) roll(d *apps.Deployment) {
	ctx := context.Background()
	d.UID, d.Namespace = types.UID(d.Name), "production"
	want := *d.Spec.Replicas
	container := d.Spec.Template.Spec.Containers[0]
	image := container.Image
	rs := apps.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Name: d.Name + "-" + strings.ReplaceAll(image, ":", "-"), Namespace: "production",
		OwnerReferences: controlledBy("Deployment", d.Name, d.UID),
	}}
	rs.UID = types.UID(rs.Name)
	w.revision++
	rs.Annotations = map[string]string{revisionAnnotation: fmt.Sprint(w.revision)}
	d.Annotations = map[string]string{revisionAnnotation: fmt.Sprint(w.revision)}
	d.Generation, d.Status.ObservedGeneration = int64(w.revision), int64(w.revision)

	good := strings.HasPrefix(image, "good") && !slices.Contains(container.Command, "crash")
	crash := !good && !strings.HasPrefix(image, "slow")
	if good {
		d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas = want, want, want
		old, err := w.clientset.CoreV1().Pods("production").List(ctx, metav1.ListOptions{})
		w.try(err)
		for _, pod := range old.Items {
			if len(pod.Spec.Containers) == 0 || pod.Spec.Containers[0].Name != container.Name {
				continue
			}
			w.try(w.clientset.CoreV1().Pods("production").Delete(ctx, pod.Name, metav1.DeleteOptions{}))
		}
	}
	w.put(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, d)
	w.put(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, &rs)
	for i := range want {
		pod := &core.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", rs.Name, i), Namespace: "production",
				OwnerReferences: controlledBy("ReplicaSet", rs.Name, rs.UID)},
			Spec: core.PodSpec{NodeName: "node-1", Containers: []core.Container{{Name: container.Name, Image: image}}},
		}
		pod.Status.Phase = core.PodRunning
		pod.Status.PodIP = fmt.Sprintf("10.0.%d.%d", w.revision, i+1)
		state := core.ContainerStatus{Name: container.Name, Ready: good}
		state.State.Running = &core.ContainerStateRunning{}
		switch {
		case good:
			pod.Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}
		case crash:
			state.RestartCount = 2
			state.State = core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			state.LastTerminationState.Terminated = &core.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}
		}
		pod.Status.ContainerStatuses = []core.ContainerStatus{state}
		w.put(schema.GroupVersionResource{Version: "v1", Resource: "pods"}, pod)
	}
}

const revisionAnnotation = "deployment.kubernetes.io/revision"

func controlledBy(kind, name string, uid types.UID) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{Kind: kind, Name: name, UID: uid, Controller: &yes}}
}

// put makes an object, or changes it.
func (w *world) put(kind schema.GroupVersionResource, object runtime.Object) {
	err := w.clientset.Tracker().Create(kind, object, "production")
	if apierrors.IsAlreadyExists(err) {
		err = w.clientset.Tracker().Update(kind, object, "production")
	}
	w.try(err)
}

func (w *world) try(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}
