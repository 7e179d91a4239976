// Package session opens sessions in the pods of an environment: a command in a
// pod of its own or in one that runs, psql, and ports of pods on this machine.
//
// A new pod (pod.go) starts with a program that only waits (hold.go), and the command is
// executed in it as in any running pod. So no output is lost before somebody listens,
// none gets into the pod's log, and any image will do, even one without a shell. The
// pod ends with its session, because the waiting program reads from a connection that
// ends with this process.
package session

import (
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"berth/internal/kube"
	"berth/internal/provider"
)

// The labels of what this package makes and looks for.
const (
	nameLabel      = "app.kubernetes.io/name"
	instanceLabel  = "app.kubernetes.io/instance"
	componentLabel = "app.kubernetes.io/component"
)

// Client opens sessions in one environment of an application.
type Client struct {
	kube kubernetes.Interface
	// core and rest reach the streams of pods.
	core        rest.Interface
	rest        *rest.Config
	app         string
	environment string
	// who holds the sessions, as user@host.
	who string
}

// New returns the sessions of an application's environment.
func New(cluster *provider.Cluster, app, environment string) (*Client, error) {
	if cluster == nil || cluster.REST == nil {
		return nil, fmt.Errorf("sessions: %w", provider.ErrNotUp)
	}
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, fmt.Errorf("reach cluster %s: %w", cluster.Name, err)
	}
	// The streams' own library reports what it cannot return on standard error,
	// which is the program's here.
	klog.SetLogger(logr.Discard())
	return &Client{kube: client, core: client.CoreV1().RESTClient(), rest: kube.Config(cluster.REST), app: app, environment: environment, who: kube.Operator()}, nil
}

// Streams are what a session's program reads from and writes to. Where In and
// Out are terminals the program gets one too, and Err is not used.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exit is the error of a session whose program ended with another status than
// 0: more than 128 when a signal ended it, 127 when the image has no such
// program.
type Exit struct {
	Status int
	// Why says what the program itself could not say; nil mostly.
	Why error
}

func (e *Exit) Error() string {
	if e.Why != nil {
		return e.Why.Error()
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

func (e *Exit) Unwrap() error { return e.Why }
