// Package apitest serves as much of the Kubernetes API as tests of reading
// commands need: fixed objects at fixed paths, over TLS, with a kubeconfig.
package apitest

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"

	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	storage "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Server is an API server with one ready node, an ingress class nginx and a
// default storage class. Everything is allowed.
type Server struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]any
	denied  map[string]bool
}

// Start starts a server, which the caller closes.
func Start() *Server {
	s := &Server{objects: map[string]any{}, denied: map[string]bool{}}
	s.SetIdentity("6f0c5b9e-0000-4000-8000-000000000001")
	s.Set("/apis/networking.k8s.io/v1/ingressclasses/nginx", networking.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}})
	s.Set("/apis/storage.k8s.io/v1/storageclasses", storage.StorageClassList{Items: []storage.StorageClass{{
		ObjectMeta: metav1.ObjectMeta{Name: "fast", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
	}}})
	s.Set("/api/v1/nodes", core.NodeList{Items: []core.Node{{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1"},
		Status: core.NodeStatus{
			NodeInfo:   core.NodeSystemInfo{KubeletVersion: "v1.37.2"},
			Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue}},
		},
	}}})
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	return s
}

// Set puts an object at a path; nil takes it away.
func (s *Server) Set(path string, object any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object == nil {
		delete(s.objects, path)
		return
	}
	s.objects[path] = object
}

// SetIdentity makes the server another cluster.
func (s *Server) SetIdentity(uid string) {
	s.Set("/api/v1/namespaces/kube-system", core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: types.UID(uid)}})
}

// Deny forbids a verb on a resource, as "delete secrets".
func (s *Server) Deny(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[what] = true
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	reply := json.NewEncoder(w)
	if r.Method == http.MethodPost && r.URL.Path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" {
		var review authorization.SelfSubjectAccessReview
		body, err := io.ReadAll(r.Body)
		if err == nil {
			// client-go sends protobuf where it can.
			_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, &review)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		asked := review.Spec.ResourceAttributes
		review.Status.Allowed = !s.denied[asked.Verb+" "+asked.Resource]
		w.WriteHeader(http.StatusCreated)
		reply.Encode(review)
		return
	}
	object, ok := s.objects[r.URL.Path]
	switch {
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
		reply.Encode(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonMethodNotAllowed, Code: http.StatusMethodNotAllowed})
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		reply.Encode(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
	default:
		reply.Encode(object)
	}
}

// Kubeconfig writes a kubeconfig for the server with the context "test". Its
// current context is another one, which must not be used.
func (s *Server) Kubeconfig(folder string) (path string, err error) {
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{
		Server:                   s.URL,
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
	}
	file.Clusters["other"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	file.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: "token"}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	file.Contexts["other"] = &clientcmdapi.Context{Cluster: "other", AuthInfo: "test"}
	file.CurrentContext = "other"
	text, err := clientcmd.Write(*file)
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, "kubeconfig")
	return path, os.WriteFile(path, text, 0o600)
}

// SetEmpty puts a list without items at a path.
func (s *Server) SetEmpty(path string) {
	s.Set(path, core.SecretList{Items: []core.Secret{}})
}
