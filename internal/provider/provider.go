// Package provider says what berth needs of a place to run in. A provider
// supplies five primitives: a cluster, its nodes, a bucket, a way to get images
// there, and a way in for requests. Everything above is the same everywhere.
//
// Its folders hold the providers: local brings up Kubernetes on this machine,
// existing takes a cluster that is there, digitalocean makes one.
package provider

import (
	"context"
	"errors"
	"strings"

	"k8s.io/client-go/rest"

	"berth/internal/bucket"
	"berth/internal/prebuilt"
	"berth/internal/progress"
)

// ErrNotUp is returned where a cluster is needed and there is none yet.
var ErrNotUp = errors.New("the cluster is not up")

// ErrNoCredentials is returned where berth is given nothing to reach a provider
// by.
var ErrNoCredentials = errors.New("there are no credentials")

// ErrNoBucket is returned where a bucket is needed and none is configured.
var ErrNoBucket = errors.New("there is no bucket")

// Provider is one place to run in. Every method works again after it was
// interrupted, and returns at once when there is nothing to do.
type Provider interface {
	// Init makes the cluster, its nodes and the bucket, and waits until all
	// nodes are ready.
	Init(ctx context.Context, r progress.Reporter) error
	// Cluster connects to the cluster, or returns an error that wraps
	// [ErrNotUp]. It never looks at the caller's own kubeconfig context.
	Cluster(ctx context.Context) (*Cluster, error)
	// Publish builds an image and puts it where every node finds it.
	Publish(ctx context.Context, b Build, r progress.Reporter) (reference string, err error)
	// Scale changes the number of nodes and what each offers.
	Scale(ctx context.Context, s Scale, r progress.Reporter) error
	// Bucket returns the bucket for backups and logs.
	Bucket(ctx context.Context) (Bucket, error)
	// Destroy removes what Init made and nothing else, and names what it keeps.
	Destroy(ctx context.Context, r progress.Reporter) (kept []string, err error)
	// Traits are what commands have to know of the provider beforehand.
	Traits() Traits
}

// Traits are facts about a provider that hold whether its cluster is up or not.
// Commands go by them, and never by a provider's name.
type Traits struct {
	// Cluster is what people call the cluster.
	Cluster string
	// Here says that the cluster is the machine that berth runs on.
	Here bool
	// Owned says that Destroy removes the cluster with all that is in it, also
	// one that is stopped or half gone. Otherwise only what berth has put there
	// goes, and the cluster must answer.
	Owned bool
	// KeepsBucket says that a last backup outlives Destroy.
	KeepsBucket bool
	// Bucket is the name of the bucket that a [BucketRemover] removes, and
	// BucketKind what the provider calls one: "Space".
	Bucket, BucketKind string
	// Removes and Keeps are what Destroy removes besides environments, and what
	// it leaves, in words, but for that bucket.
	Removes, Keeps []string
	// CheckSize returns an error for what is no size of a node; nil where only
	// the provider's own service knows.
	CheckSize func(size string) error
}

// Cluster is a running cluster and what the platform has to know of it.
type Cluster struct {
	// Name tells this cluster from every other, for people: "local", or the
	// context's name.
	Name string
	// REST reaches the API server as an administrator.
	REST *rest.Config
	// Kubeconfig is the file that says the same to kubectl.
	Kubeconfig string
	// StorageClass for volumes; empty takes the cluster's default.
	StorageClass string
	// IngressClass that application Ingresses name.
	IngressClass string
	// Ingress is what berth installs as the ingress controller; nil when the
	// cluster brings its own.
	Ingress *Ingress
	// LoadBalancer is how berth installs F5's ingress controller behind a
	// cloud's load balancer; nil when it does not.
	LoadBalancer *LoadBalancer
	// Metrics says whether berth installs metrics-server where nothing measures
	// nodes and pods yet. A local cluster brings its own; to one of somebody
	// else's it is not berth's to bring.
	Metrics bool
	// Issuer is the cert-manager ClusterIssuer for hosts' certificates.
	Issuer string
	// Authority signs hosts' certificates where there is no Issuer; nil when
	// berth has no hand in TLS.
	Authority Authority
	// Postgres is the image of the database; empty takes the chart's.
	Postgres string
	// PostgresOf are the images of other major versions of it; those that are not
	// named are the official ones.
	PostgresOf map[int]string
	// Services are the images of services, by their kind; those that are not
	// named take the chart's.
	Services map[string]string
	// BuildsServices says that the images of services are built from images/,
	// as no registry may be within reach.
	BuildsServices bool
	// MakesUpSecrets says that a secret which nobody gives is made up: the
	// cluster is for trying things out.
	MakesUpSecrets bool
	// HasImage reports whether an image can still be had; nil where its
	// registry alone knows. An image that was found stays for as long as this
	// command runs.
	HasImage func(ctx context.Context, reference string) (bool, error)
	// PullLogins returns a .dockerconfigjson by which the cluster may pull images
	// that not everybody may, and nil when all may; it is nil where nodes need
	// none. An image that nobody here has a login for is an error.
	PullLogins func(ctx context.Context, references ...string) ([]byte, error)
	// PodLogs is where the kubelets write; nil for where they usually do.
	PodLogs *PodLogs
}

// PodLogs is where the log agent finds what pods write, and keeps its own.
type PodLogs struct {
	// Folder on the nodes that the kubelet writes to.
	Folder string
	// PerNode says that nodes share a file system, so that Folder has a folder
	// for each node, by its name.
	PerNode bool
	// State is the folder on the nodes for the agent's queues.
	State string
}

// Ingress is how the platform installs berth's own ingress controller.
type Ingress struct {
	// Image of the controller.
	Image string
	// HTTP and HTTPS are the addresses that it listens on, host:port.
	HTTP, HTTPS string
	// Node is the node that it runs on.
	Node string
}

// LoadBalancer is how the platform installs an ingress controller that a
// cloud's load balancer stands before.
type LoadBalancer struct {
	// Annotations of the controller's Service, which the cloud reads.
	Annotations map[string]string
	// Certificates says whether cert-manager is installed, with ClusterIssuers
	// for Let's Encrypt and for its staging service.
	Certificates bool
	// Email is where Let's Encrypt writes to; empty for nowhere.
	Email string
}

// Authority is a certificate authority that berth holds itself.
type Authority interface {
	// Certificate returns a PEM certificate and key for hosts, valid now and
	// for weeks to come.
	Certificate(hosts []string) (certificate, key []byte, err error)
	// File is the CA's own certificate, for clients to trust.
	File() string
}

// Build is an image to make from a Dockerfile.
type Build struct {
	// Name of the image without registry and tag.
	Name string
	// Dockerfile and Context are absolute paths.
	Dockerfile, Context string
	// Args are the values of the Dockerfile's ARGs.
	Args map[string]string
	// Secrets are what RUN --mount=type=secret finds, by id. They must be in
	// no layer, no log and no argument of a process.
	Secrets map[string]string
	// Target is the stage to build; empty builds the last one.
	Target string
	// Platform as "linux/amd64"; empty builds for the builder's own.
	Platform string
	// Ignore holds patterns of .dockerignore that count besides its own: what
	// must never enter an image.
	Ignore []string
	// Prebuilt is a release of berth that may have built the image already,
	// from the same source: the image is one of berth's own. nil for none.
	Prebuilt *prebuilt.Release
}

// Scale is the wanted number and size of nodes. Zero values change nothing.
type Scale struct {
	Nodes int
	// Size as "s-2vcpu-4gb".
	Size string
}

// LogPrefix is the folder of a bucket that archived logs are in.
const LogPrefix = "logs"

// LogKeys are the keys that the log agent gets: the pair that may only write logs, or
// else the bucket's own.
func (b Bucket) LogKeys() (access, secret string) {
	if b.LogAccessKey != "" && b.LogSecretKey != "" {
		return b.LogAccessKey, b.LogSecretKey
	}
	return b.AccessKey, b.SecretKey
}

// Bucket is an S3 bucket. Its keys are secret.
type Bucket struct {
	Endpoint, Region, Name string
	AccessKey, SecretKey   string
	// LogAccessKey and LogSecretKey may only write below [LogPrefix]; empty where there
	// is no such pair.
	LogAccessKey, LogSecretKey string
	// CA is a PEM bundle to trust besides the system's; empty for none.
	CA []byte
}

// Open opens the bucket, or the part of it below a prefix.
func (b Bucket) Open(prefix string, hints bucket.Hints) (*bucket.Bucket, error) {
	return bucket.New(bucket.Options{
		Endpoint: b.Endpoint, Region: b.Region, Name: b.Name, AccessKey: b.AccessKey, SecretKey: b.SecretKey, CA: b.CA,
		Prefix: prefix, Hints: hints,
	})
}

// URL is the endpoint with its scheme, which is https where none is named.
func (b Bucket) URL() string {
	if strings.Contains(b.Endpoint, "://") {
		return b.Endpoint
	}
	return "https://" + b.Endpoint
}
