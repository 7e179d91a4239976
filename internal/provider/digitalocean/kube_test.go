package digitalocean

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"berth/internal/fakedo/fake"
)

// apiServer is as much of an API server as draining and waiting need. Its nodes are
// those of the account's cluster shop. It has one Deployment, whose pods come back
// on another node a moment after they were evicted, under a disruption budget
// of one.
type apiServer struct {
	*httptest.Server
	account *fake.Fake // nil while the server has no nodes

	mu       sync.Mutex
	closed   map[string]bool // nodes that take no pods
	pods     []*pod
	made     int
	fewest   int // the fewest pods that were ready at any time
	evicted  []string
	secrets  map[string]map[string]string
	services []corev1.Service
	claims   []corev1.PersistentVolumeClaim
	away     bool
}

type pod struct {
	name, node string
	ready      time.Time
}

// comeBack is how long an evicted pod takes to be ready elsewhere.
const comeBack = 30 * time.Millisecond

const replicas = 2

func startKube(t *testing.T) *apiServer {
	t.Helper()
	k := &apiServer{closed: map[string]bool{}, secrets: map[string]map[string]string{}, fewest: replicas}
	k.Server = httptest.NewTLSServer(http.HandlerFunc(k.serve))
	t.Cleanup(k.Close)
	return k
}

// kubeconfig is what DigitalOcean hands out.
func (k *apiServer) kubeconfig(t *testing.T) string {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{
		Server: k.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate().Raw}),
	}
	file.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "kube-secret-token"}
	file.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	file.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// deploy puts the Deployment's pods onto the cluster's first node.
func (k *apiServer) deploy() {
	nodes := k.nodes()
	k.mu.Lock()
	defer k.mu.Unlock()
	for range replicas {
		k.addPod(nodes[0], time.Time{})
	}
}

func (k *apiServer) addPod(node string, ready time.Time) {
	k.made++
	k.pods = append(k.pods, &pod{fmt.Sprintf("web-%d", k.made), node, ready})
}

// nodes are the names of the cluster's running nodes.
func (k *apiServer) nodes() []string {
	var names []string
	account, err := k.account.Account()
	if err != nil {
		panic(err) // it is in memory
	}
	for _, cluster := range account.Clusters {
		if cluster.Deleted != nil || cluster.Name != "shop" {
			continue
		}
		for _, pool := range cluster.NodePools {
			for _, node := range pool.Nodes {
				if node.Status.State == "running" {
					names = append(names, node.Name)
				}
			}
		}
	}
	return names
}

// places says on which node each pod is.
func (k *apiServer) places() map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	places := map[string]string{}
	for _, pod := range k.pods {
		places[pod.name] = pod.node
	}
	return places
}

func (k *apiServer) readyPods() int {
	count := 0
	for _, pod := range k.pods {
		if !time.Now().Before(pod.ready) {
			count++
		}
	}
	return count
}

func (k *apiServer) node(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Unschedulable: k.closed[name]},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
}

func (k *apiServer) pod(p *pod) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.name, Namespace: "production", UID: types.UID(p.name), OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", Controller: ptr(true)},
		}},
		Spec: corev1.PodSpec{NodeName: p.node}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func ptr[T any](value T) *T { return &value }

func (k *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	nodes := k.nodes()
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	reply := func(status int, object any) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(object)
	}
	fail := func(status int, reason metav1.StatusReason) {
		reply(status, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status: metav1.StatusFailure, Reason: reason, Code: int32(status), Message: string(reason)})
	}
	if k.away {
		fail(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if k.made > 0 {
		k.fewest = min(k.fewest, k.readyPods())
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := path[len(path)-1]
	switch {
	case r.URL.Path == "/api":
		reply(200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		reply(200, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{{
			Name: "policy", Versions: []metav1.GroupVersionForDiscovery{{GroupVersion: "policy/v1", Version: "v1"}},
			PreferredVersion: metav1.GroupVersionForDiscovery{GroupVersion: "policy/v1", Version: "v1"},
		}}})
	case r.URL.Path == "/api/v1":
		reply(200, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1",
			APIResources: []metav1.APIResource{{Name: "pods/eviction", Kind: "Eviction", Group: "policy", Version: "v1", Namespaced: true}}})
	case r.URL.Path == "/api/v1/nodes":
		list := corev1.NodeList{}
		for _, name := range nodes {
			list.Items = append(list.Items, k.node(name))
		}
		reply(200, list)
	case strings.HasPrefix(r.URL.Path, "/api/v1/nodes/"):
		if !slices.Contains(nodes, last) {
			fail(404, metav1.StatusReasonNotFound)
			return
		}
		if r.Method == http.MethodPatch {
			k.closed[last] = strings.Contains(string(body), "true")
		}
		reply(200, k.node(last))
	case r.URL.Path == "/api/v1/pods":
		list := corev1.PodList{Items: []corev1.Pod{}}
		for _, p := range k.pods {
			if r.URL.Query().Get("fieldSelector") == "spec.nodeName="+p.node {
				list.Items = append(list.Items, k.pod(p))
			}
		}
		reply(200, list)
	case last == "eviction":
		k.evict(path[5], nodes, reply, fail)
	case len(path) == 6 && path[4] == "pods":
		if i := slices.IndexFunc(k.pods, func(p *pod) bool { return p.name == last }); i >= 0 {
			reply(200, k.pod(k.pods[i]))
			return
		}
		fail(404, metav1.StatusReasonNotFound)
	case r.URL.Path == "/apis/apps/v1/deployments":
		list := appsv1.DeploymentList{}
		if k.made > 0 {
			list.Items = []appsv1.Deployment{{
				ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: ptr(int32(replicas))},
				Status: appsv1.DeploymentStatus{ReadyReplicas: int32(k.readyPods())},
			}}
		}
		reply(200, list)
	case r.URL.Path == "/apis/apps/v1/statefulsets":
		reply(200, appsv1.StatefulSetList{})
	case len(path) == 6 && path[4] == "secrets":
		k.secret(r.Method, last, body, reply, fail)
	case r.URL.Path == "/api/v1/services":
		reply(200, corev1.ServiceList{Items: k.services})
	case r.URL.Path == "/api/v1/persistentvolumeclaims":
		reply(200, corev1.PersistentVolumeClaimList{Items: k.claims})
	case r.Method == http.MethodDelete && len(path) == 6:
		k.services = slices.DeleteFunc(k.services, func(s corev1.Service) bool { return path[4] == "services" && s.Name == last })
		k.claims = slices.DeleteFunc(k.claims, func(c corev1.PersistentVolumeClaim) bool {
			return path[4] == "persistentvolumeclaims" && c.Name == last
		})
		reply(200, metav1.Status{Status: metav1.StatusSuccess})
	default:
		fail(404, metav1.StatusReasonNotFound)
	}
}

// evict refuses while the budget is used up, as the API server does.
func (k *apiServer) evict(name string, nodes []string, reply func(int, any), fail func(int, metav1.StatusReason)) {
	i := slices.IndexFunc(k.pods, func(p *pod) bool { return p.name == name })
	if i < 0 {
		fail(404, metav1.StatusReasonNotFound)
		return
	}
	if k.readyPods() < replicas {
		fail(429, metav1.StatusReasonTooManyRequests)
		return
	}
	k.evicted = append(k.evicted, k.pods[i].name)
	k.pods = slices.Delete(k.pods, i, i+1)
	open := slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return k.closed[node] })
	if len(open) > 0 {
		k.addPod(open[k.made%len(open)], time.Now().Add(comeBack))
	}
	reply(201, metav1.Status{Status: metav1.StatusSuccess})
}

func (k *apiServer) secret(method, name string, body []byte, reply func(int, any), fail func(int, metav1.StatusReason)) {
	if method == http.MethodPatch {
		var applied struct {
			Data map[string][]byte `json:"data"`
		}
		if err := json.Unmarshal(body, &applied); err != nil {
			fail(400, metav1.StatusReasonBadRequest)
			return
		}
		k.secrets[name] = map[string]string{}
		for key, value := range applied.Data {
			k.secrets[name][key] = string(value)
		}
	}
	data, ok := k.secrets[name]
	if !ok {
		fail(404, metav1.StatusReasonNotFound)
		return
	}
	encoded := map[string]string{}
	for key, value := range data {
		encoded[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	reply(200, map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": map[string]any{"name": name}, "data": encoded})
}
