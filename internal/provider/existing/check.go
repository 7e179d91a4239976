package existing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Check looks at everything that berth needs of the cluster, the builder and
// the bucket, and changes nothing.
func (p *Provider) Check(ctx context.Context) []provider.Check {
	var checks []provider.Check
	found, err := p.connect()
	if err != nil {
		return []provider.Check{verdict("kubeconfig", err)}
	}
	uid, err := found.identity(ctx)
	checks = append(checks, verdict("cluster "+found.name, err))
	if err == nil {
		if err := p.record().compare(uid); err != nil && !errors.Is(err, provider.ErrNotUp) {
			checks = append(checks, verdict("same cluster as before", err))
		}
		checks = append(checks, p.checkCluster(ctx, found, progress.Discard.Step(""))...)
	}
	if p.config.Image == "" {
		_, err := image.Find(ctx)
		checks = append(checks, verdict("image builder", err))
	}
	if p.config.Existing.Bucket.Name != "" {
		_, err := p.Bucket(ctx)
		checks = append(checks, verdict("bucket "+p.config.Existing.Bucket.Name, err))
	}
	return checks
}

// verdict turns an error with its hint into a check.
func verdict(name string, err error) provider.Check {
	check := provider.Check{Name: name}
	if err != nil {
		check.Problem, check.Remedy = err.Error(), fault.Hint(err)
	}
	return check
}

// checkCluster looks at what must be in the cluster.
func (p *Provider) checkCluster(ctx context.Context, c *connection, step progress.Step) []provider.Check {
	step.Detail("permissions")
	checks := []provider.Check{verdict("permissions", c.checkPermissions(ctx, needed(p.config)))}
	step.Detail("ingress class")
	checks = append(checks, verdict("ingress class "+p.config.Existing.IngressClass, c.checkIngressClass(ctx, p.config.Existing.IngressClass)))
	if p.needsVolumes() {
		step.Detail("storage class")
		checks = append(checks, verdict("storage class", c.checkStorageClass(ctx, p.config.Existing.StorageClass)))
	}
	if issuer := p.config.Existing.Issuer; issuer != "" {
		step.Detail("issuer")
		checks = append(checks, verdict("issuer "+issuer, c.checkIssuer(ctx, issuer)))
	}
	return checks
}

func (p *Provider) needsVolumes() bool {
	for _, e := range p.config.Environments {
		if e.Database != config.NoDatabase {
			return true
		}
	}
	return len(p.config.Volumes)+len(p.config.Services) > 0 || p.config.Metrics.Kept()
}

func (c *connection) checkIngressClass(ctx context.Context, name string) error {
	_, err := c.client.NetworkingV1().IngressClasses().Get(ctx, name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	var names []string
	if list, err := c.client.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{}); err == nil {
		for _, class := range list.Items {
			names = append(names, class.Name)
		}
	}
	if len(names) == 0 {
		return fault.WithHint(errors.New("the cluster has no ingress controller"),
			"install one, like F5 NGINX Ingress Controller: https://docs.nginx.com/nginx-ingress-controller/")
	}
	return fault.WithHint(errors.New("the cluster has no ingress class of that name"),
		"set existing.ingressClass in berth.yaml to one of: %s", strings.Join(names, ", "))
}

// defaultClass marks the StorageClass for claims that name none:
// https://kubernetes.io/docs/concepts/storage/storage-classes/
const defaultClass = "storageclass.kubernetes.io/is-default-class"

func (c *connection) checkStorageClass(ctx context.Context, name string) error {
	list, err := c.client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var names []string
	for _, class := range list.Items {
		if class.Name == name || name == "" && class.Annotations[defaultClass] == "true" {
			return nil
		}
		names = append(names, class.Name)
	}
	problem := errors.New("the cluster has no default storage class")
	if name != "" {
		problem = fmt.Errorf("the cluster has no storage class %s", name)
	}
	if len(names) == 0 {
		return fault.WithHint(problem, "install a storage provisioner: databases need volumes")
	}
	return fault.WithHint(problem, "set existing.storageClass in berth.yaml to one of: %s", strings.Join(names, ", "))
}

// checkIssuer looks for cert-manager's ClusterIssuer, which client-go has no
// type for.
func (c *connection) checkIssuer(ctx context.Context, name string) error {
	err := c.client.Discovery().RESTClient().Get().
		AbsPath("/apis/cert-manager.io/v1/clusterissuers/" + name).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return fault.WithHint(errors.New("the cluster has no ClusterIssuer of that name"),
			"install cert-manager (https://cert-manager.io/docs/installation/) and make the ClusterIssuer, or leave existing.issuer out")
	}
	return err
}
