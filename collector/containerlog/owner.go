package containerlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// askFor is how long lines wait for the API server, and pause how long they then
	// go without it.
	askFor = 2 * time.Second
	pause  = 10 * time.Second
	// mostKnown bounds what is remembered: far more pods than a node can have.
	mostKnown = 1000
)

// An owner is the Deployment or StatefulSet that made a pod; key is empty for
// anything else.
type owner struct{ key, name string }

// owners asks the API server whose a pod is, once for each pod. The published
// processor k8s_attributes watches all pods of the node for that, and would make
// the agent's program larger by two thirds.
type owners struct {
	client *http.Client
	server string
	log    *zap.Logger

	mu sync.Mutex
	// known is by the pods' UIDs.
	known map[string]owner
	// resume is when the API server may be asked again.
	resume time.Time
}

// newOwners asks as the service account whose token and certificate authority the
// kubelet has put in a folder, which it renews. Without a folder nobody is asked.
func newOwners(serviceAccount string, log *zap.Logger) (*owners, error) {
	o := &owners{log: log, known: map[string]owner{}}
	if serviceAccount == "" {
		return o, nil
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("find the API server: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, as they are in every pod")
	}
	o.server = "https://" + net.JoinHostPort(host, port)
	var err error
	o.client, err = rest.HTTPClientFor(&rest.Config{
		Host:            o.server,
		BearerTokenFile: filepath.Join(serviceAccount, "token"),
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(serviceAccount, "ca.crt")},
		Timeout:         askFor,
	})
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return o, nil
}

// of returns a pod's owner as far as it can be known now.
func (o *owners) of(p pod) owner {
	if o.client == nil {
		return owner{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if found, ok := o.known[p.uid]; ok || time.Now().Before(o.resume) {
		return found
	}
	found, err := o.ask(p)
	if err != nil {
		o.resume = time.Now().Add(pause)
		o.log.Warn("lines go without their pod's Deployment for a while", zap.String("pod", p.namespace+"/"+p.name), zap.Error(err))
		return owner{}
	}
	if len(o.known) >= mostKnown {
		clear(o.known)
	}
	o.known[p.uid] = found
	return found
}

// ask gets the pod's metadata. A pod that is gone has left no word of its owner.
func (o *owners) ask(p pod) (owner, error) {
	address, err := url.JoinPath(o.server, "api/v1/namespaces", p.namespace, "pods", p.name)
	if err != nil {
		return owner{}, err
	}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return owner{}, err
	}
	request.Header.Set("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	response, err := o.client.Do(request)
	if err != nil {
		return owner{}, fmt.Errorf("ask the API server for the pod: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return owner{}, nil
	default:
		return owner{}, fmt.Errorf("ask the API server for the pod: %s", response.Status)
	}
	var found metav1.PartialObjectMetadata
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return owner{}, fmt.Errorf("read the pod: %w", err)
	}
	if string(found.UID) != p.uid {
		return owner{}, nil // Another pod has its name by now.
	}
	return ownerOf(&found), nil
}

// ownerOf reads who controls a pod. A ReplicaSet's name is its Deployment's and the
// hash that is also a label of its pods.
func ownerOf(pod metav1.Object) owner {
	by := metav1.GetControllerOf(pod)
	if by == nil {
		return owner{}
	}
	switch by.Kind {
	case "ReplicaSet":
		if hash := pod.GetLabels()["pod-template-hash"]; hash != "" && strings.HasSuffix(by.Name, "-"+hash) {
			return owner{"k8s.deployment.name", strings.TrimSuffix(by.Name, "-"+hash)}
		}
	case "StatefulSet":
		return owner{"k8s.statefulset.name", by.Name}
	}
	return owner{}
}
