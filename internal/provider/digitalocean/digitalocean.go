// Package digitalocean is the provider that makes a cluster at DigitalOcean:
// Kubernetes (DOKS), a Space for backups and logs, and what belongs to them.
//
// The Terraform module in terraform/digitalocean describes and changes them. This
// package runs it, and does what Terraform cannot do: it finds what an interrupted
// run has left, refuses plans that would lose data, resizes nodes without replacing
// the cluster, and removes the load balancers and volumes that Kubernetes has made.
//
// To use a cluster, for example for a deploy, a token is enough: the cluster is found
// by its name. Only Init, Scale and Destroy need Terraform and its state.
package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/sys/unix"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/terraform"
)

// The compiler checks what the commands ask for by type.
var (
	_ provider.Provider      = (*Provider)(nil)
	_ provider.Planner       = (*Provider)(nil)
	_ provider.Namer         = (*Provider)(nil)
	_ provider.BucketRemover = (*Provider)(nil)
)

// Provider is a cluster at DigitalOcean. It implements [provider.Provider].
type Provider struct {
	config *config.Config
	api    *godo.Client
	// pause is the time between two looks at what takes minutes.
	pause time.Duration
	// workspace is Terraform's since it was opened first: a command plans, makes
	// and names one after the other, and each start of Terraform takes a second.
	workspace *workspace
	// keptBeside is what Destroy has kept besides the Space.
	keptBeside []string
}

// New returns the provider for the settings under digitalocean in berth.yaml.
// It reaches for nothing yet.
func New(c *config.Config) (*Provider, error) {
	api, err := newAPI(c)
	if err != nil {
		return nil, err
	}
	return &Provider{config: c, api: api, pause: 3 * time.Second}, nil
}

// folder holds what berth keeps of the cluster on this machine.
func (p *Provider) folder() string {
	return filepath.Join(p.config.StateDir, "digitalocean", p.config.DigitalOcean.Cluster)
}

func (p *Provider) kubeconfig() string { return filepath.Join(p.folder(), "kubeconfig") }

func (p *Provider) makeFolder() error {
	if err := os.MkdirAll(p.folder(), 0o700); err != nil {
		return fmt.Errorf("make berth's folder: %w", err)
	}
	return nil
}

// lock keeps two commands on this machine from changing the cluster at once.
// The kernel takes the lock back when the process ends, however it ends.
func (p *Provider) lock() (unlock func(), err error) {
	if err := p.makeFolder(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(p.folder(), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock cluster %s: %w", p.config.DigitalOcean.Cluster, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.WithHint(fmt.Errorf("another berth is changing cluster %s", p.config.DigitalOcean.Cluster), "wait until it is done")
		}
		return nil, fmt.Errorf("lock cluster %s: %w", p.config.DigitalOcean.Cluster, err)
	}
	return func() { file.Close() }, nil
}

// open prepares Terraform's workspace.
func (p *Provider) open(ctx context.Context, r progress.Reporter) (*workspace, error) {
	if _, _, err := spaceKeys(p.config); err != nil {
		return nil, err
	}
	cache, err := terraform.Cache()
	if err != nil {
		return nil, err
	}
	program, err := terraform.Program(ctx, cache, r)
	if err != nil {
		return nil, err
	}
	var w *workspace
	err = progress.Run(r, "Prepare Terraform", func(progress.Step) error {
		if err := p.makeFolder(); err != nil {
			return err
		}
		if w, err = p.workspace.open(filepath.Join(p.folder(), "terraform"), program, p.config, r); err != nil {
			return err
		}
		p.workspace = w
		var b *backend
		if p.config.DigitalOcean.State != "" {
			if b, err = newBackend(p.config); err != nil {
				return err
			}
		}
		return w.init(ctx, b)
	})
	return w, err
}

// Publish builds an image and pushes it to the registry. The reference is by
// digest, so the cluster runs exactly what was released.
func (p *Provider) Publish(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	return image.Publish(ctx, b, p.registry(), r)
}

func (p *Provider) registry() string {
	if name := p.config.DigitalOcean.ContainerRegistry; name != "" {
		return "registry.digitalocean.com/" + name
	}
	return p.config.DigitalOcean.Registry
}

// pullLogins are for all images but those in the registry at DigitalOcean that
// the cluster is allowed to read anyway.
func (p *Provider) pullLogins(ctx context.Context, references ...string) ([]byte, error) {
	if p.config.DigitalOcean.ContainerRegistry != "" {
		references = slices.DeleteFunc(slices.Clone(references), func(r string) bool { return strings.HasPrefix(r, p.registry()+"/") })
	}
	return image.PullLogins(ctx, references...)
}

// issuer is the ClusterIssuer of the hosts' certificates, or "".
func (p *Provider) issuer() string {
	if source := p.config.DigitalOcean.Certificates; source != config.NoCertificates {
		return source
	}
	return ""
}

// loadBalancer says how the ingress controller is installed; nil where the
// operator brings one.
func (p *Provider) loadBalancer() *provider.LoadBalancer {
	d := p.config.DigitalOcean
	if d.Ingress != config.IngressF5 {
		return nil
	}
	// https://github.com/digitalocean/digitalocean-cloud-controller-manager/blob/master/docs/controllers/services/annotations.md
	const prefix = "service.beta.kubernetes.io/do-loadbalancer-"
	return &provider.LoadBalancer{
		Annotations: map[string]string{
			prefix + "name": p.ingressName(),
			// It passes packets on as they came, with the client's address,
			// and knows no PROXY protocol. The type is said because what is
			// the default has changed before.
			prefix + "type": "REGIONAL_NETWORK",
			// A node whose controller is going is left within six seconds, for
			// which the controller waits before it stops.
			prefix + "healthcheck-check-interval-seconds":   "3",
			prefix + "healthcheck-response-timeout-seconds": "3",
			prefix + "healthcheck-unhealthy-threshold":      "2",
			prefix + "healthcheck-healthy-threshold":        "2",
		},
		Certificates: d.Certificates != config.NoCertificates,
		Email:        d.Email,
	}
}

// poll looks again and again until done, an error or the end of a time.
func (p *Provider) poll(ctx context.Context, limit time.Duration, look func(context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %s", limit))
	defer cancel()
	for {
		done, err := look(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(p.pause):
		}
	}
}
