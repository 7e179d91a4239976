// Package release deploys the application to an environment of a cluster, and rolls
// back. An environment is a namespace with its name. It has one Helm release with the
// application's name.
//
// The package adds what Helm does not do: it allows only one deploy at a time, writes
// the Secrets that the chart expects (secrets.go), waits until the new revision really
// serves or says why it does not (package rollout), and rolls back to the last one that
// served (change.go).
//
// It uses only the [provider.Cluster] that New gets. The caller's kubeconfig and HELM_
// variables are ignored.
package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/helm"
	"berth/internal/judge"
	"berth/internal/kube"
	"berth/internal/provider"
	"berth/internal/traffic"
)

// ErrNotDeployed is returned for an environment that holds no release.
var ErrNotDeployed = errors.New("nothing is deployed")

// Client knows the releases of one application on one cluster. It is safe for
// concurrent use; the lock keeps two deploys apart.
type Client struct {
	cluster *provider.Cluster
	config  *config.Config
	kube    kubernetes.Interface
	who     string

	// release opens the application's release in a namespace and chart loads its
	// chart; tests put their own there.
	release func(namespace string) (*helm.Release, error)
	chart   func() (*chart.Chart, error)
	// traffic reads what the ingress has counted of an environment.
	traffic func(ctx context.Context, environment string) (map[string]traffic.Endpoint, error)

	// stages are told how far a deploy is; see [Client.Staged].
	stages Stages

	timeouts timeouts
}

// Stages are called in the course of a deploy, and end it with their error. A nil one
// does nothing.
type Stages struct {
	// Ready is called when the servers that the application needs serve, before the
	// release command.
	Ready func(context.Context) error
	// Released is called when that has ended well, or there is none, before any pod
	// of the new image.
	Released func(context.Context) error
}

// Staged returns the same client, whose deploys call stages.
func (c *Client) Staged(stages Stages) *Client {
	staged := *c
	staged.stages = stages
	return &staged
}

func stage(ctx context.Context, do func(context.Context) error) error {
	if do == nil {
		return nil
	}
	return do(ctx)
}

// timeouts is how long things are waited for.
type timeouts struct {
	// poll is the time between two looks at the cluster.
	poll time.Duration
	// deploy bounds the wait for a new revision, back the wait for the one
	// that is gone back to.
	deploy, back time.Duration
	// wayIn bounds how long the ingress may take to send a host's requests to
	// pods that are ready.
	wayIn time.Duration
	// look is the time between two looks at the answers of a new revision.
	look time.Duration
	// lease is how long a lock is good for without being renewed, renew the
	// time between two renewals.
	lease, renew time.Duration
}

var usualTimeouts = timeouts{
	poll:   time.Second,
	deploy: 10 * time.Minute,
	back:   5 * time.Minute,
	wayIn:  20 * time.Second,
	look:   judge.Every,
	lease:  30 * time.Second,
	renew:  5 * time.Second,
}

// New returns the releases of one application on one cluster.
func New(cluster *provider.Cluster, c *config.Config) (*Client, error) {
	if cluster == nil || cluster.REST == nil {
		return nil, fmt.Errorf("releases: %w", provider.ErrNotUp)
	}
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, fmt.Errorf("reach cluster %s: %w", cluster.Name, err)
	}
	return &Client{
		cluster: cluster,
		config:  c,
		kube:    client,
		who:     kube.Operator(),
		release: func(namespace string) (*helm.Release, error) {
			return helm.Open(kube.Config(cluster.REST), namespace, c.Name)
		},
		chart:    loadChart,
		traffic:  traffic.Reader{Client: client, REST: kube.Config(cluster.REST)}.Read,
		timeouts: usualTimeouts,
	}, nil
}

// lock is the one of an environment: only one deploy at a time.
func (c *Client) lock(environment string) kube.Lock {
	return kube.Lock{
		Client: c.kube, Namespace: environment, Name: c.config.Name + "-deploy", Who: c.who,
		Duration: c.timeouts.lease, Renew: c.timeouts.renew,
	}
}

// environment returns what berth.yaml says of an environment.
func (c *Client) environment(name string) (config.Environment, error) {
	e, ok := c.config.Environments[name]
	if !ok {
		names := slices.Sorted(maps.Keys(c.config.Environments))
		return e, fault.WithHint(fault.Usage("there is no environment %q", name),
			"berth.yaml has: %s", strings.Join(names, ", "))
	}
	return e, nil
}

// A Revision is one deploy or rollback of an environment.
type Revision struct {
	Number int       `json:"revision"`
	Image  string    `json:"image"`
	When   time.Time `json:"when"`
	State  State     `json:"status"`
	// Served says that the revision once answered with all its pods, so it
	// can be gone back to.
	Served bool `json:"served"`
	// Who deployed it, as user@host.
	Who string `json:"who"`
	// Commit is what the application's folder was at; Dirty says that there were
	// changes besides. Empty where it is no repository.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// Description says what was done, and why it failed when it did.
	Description string `json:"description"`
	// Unchanged is set by Deploy when there was nothing to do: the revision is
	// the one that served before.
	Unchanged bool `json:"unchanged,omitempty"`
}

// State is the result of a revision.
type State string

// The states of a revision. At most one is deployed: the one that serves.
const (
	StateDeployed   State = "deployed"
	StateSuperseded State = "superseded"
	StateFailed     State = "failed"
	StateRolledBack State = "rolled back"
	StatePending    State = "pending"
)

func (c *Client) applySecret(ctx context.Context, namespace, name string, kind core.SecretType, data map[string][]byte, salt string) error {
	secret := kube.Secret{
		Namespace: namespace, Name: name, Type: kind, Data: data,
		Labels: map[string]string{"app.kubernetes.io/instance": c.config.Name},
	}
	if salt != "" {
		secret.Annotations = map[string]string{saltAnnotation: salt}
	}
	return secret.Apply(ctx, c.kube)
}
