package existing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"

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
	checks := []provider.Check{verdict("permissions", c.checkPermissions(ctx))}
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
	return false
}

// permission is something that berth does in a cluster.
type permission struct{ group, resource, verbs string }

// needed is all that berth does: what the charts hold and what a deploy reads.
var needed = []permission{
	{"", "namespaces", "get create patch delete"},
	{"", "nodes", "list"},
	{"", "secrets", "get list create patch delete"},
	{"", "configmaps", "get create patch delete"},
	{"", "services", "get create patch delete"},
	{"", "serviceaccounts", "get create patch delete"},
	{"", "persistentvolumeclaims", "get list create patch delete"},
	{"", "pods", "get list watch"},
	{"", "pods/log", "get"},
	{"", "events", "list"},
	{"apps", "deployments", "get list watch create patch delete"},
	{"apps", "replicasets", "list watch"},
	{"apps", "statefulsets", "get list watch create patch delete"},
	{"autoscaling", "horizontalpodautoscalers", "get create patch delete"},
	{"coordination.k8s.io", "leases", "get create update delete"},
	{"networking.k8s.io", "ingresses", "get create patch delete"},
	{"networking.k8s.io", "networkpolicies", "get create patch delete"},
	{"policy", "poddisruptionbudgets", "get create patch delete"},
}

// checkPermissions asks the API server itself what the user may do.
func (c *connection) checkPermissions(ctx context.Context) error {
	denied := make([]string, len(needed))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, want := range needed {
		group.Go(func() error {
			var verbs []string
			for verb := range strings.FieldsSeq(want.verbs) {
				allowed, err := c.may(ctx, want, verb)
				if err != nil {
					return err
				}
				if !allowed {
					verbs = append(verbs, verb)
				}
			}
			if len(verbs) > 0 {
				denied[i] = strings.Join(verbs, ", ") + " " + want.resource
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("ask for permissions: %w", err)
	}
	var lacks []string
	for _, one := range denied {
		if one != "" {
			lacks = append(lacks, one)
		}
	}
	if len(lacks) > 0 {
		return fault.WithHint(fmt.Errorf("the user of context %s may not %s", c.name, strings.Join(lacks, "; ")),
			"let an administrator bind the user to the ClusterRole cluster-admin, or to one that allows these")
	}
	return nil
}

func (c *connection) may(ctx context.Context, p permission, verb string) (bool, error) {
	resource, sub, _ := strings.Cut(p.resource, "/")
	review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorization.SelfSubjectAccessReview{
		Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorization.ResourceAttributes{
			Verb: verb, Group: p.group, Resource: resource, Subresource: sub,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
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
