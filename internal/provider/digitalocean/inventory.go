package digitalocean

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"
	"golang.org/x/sync/errgroup"

	"berth/internal/fault"
)

// defaultPool is the tag by which Terraform's plugin finds the node pool that a
// cluster was made with:
// https://registry.terraform.io/providers/digitalocean/digitalocean/latest/docs/resources/kubernetes_cluster
const defaultPool = "terraform:default-node-pool"

// inventory is what exists at DigitalOcean under the names that berth gives. A run that
// was killed, or a request to create that timed out, leaves things that Terraform does
// not know.
type inventory struct {
	cluster  *godo.KubernetesCluster
	vpc      *godo.VPC
	project  *godo.Project
	projects []string // the identifiers of all projects
	bucket   bool
	keys     []*godo.SpacesKey
	registry *godo.Registry
	// registries are the names of all, and tier is the account's subscription to
	// them; nil without one.
	registries []string
	tier       *godo.RegistrySubscriptionTier
	domain     *godo.Domain
	records    []godo.DomainRecord // of every type
	database   *godo.Database
	schemas    []godo.DatabaseDB
	ingress    *godo.LoadBalancer
}

// pool is the node pool that Terraform looks after; nil when there is none.
func (i *inventory) pool() *godo.KubernetesNodePool {
	if i.cluster == nil {
		return nil
	}
	for _, pool := range i.cluster.NodePools {
		if slices.Contains(pool.Tags, defaultPool) {
			return pool
		}
	}
	return nil
}

// survey looks for everything that v describes.
func (p *Provider) survey(ctx context.Context, v variables) (*inventory, error) {
	found := &inventory{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if found.cluster, err = p.findCluster(ctx); err != nil || found.cluster == nil || v.Domain == nil {
			return err
		}
		found.ingress, err = p.findIngress(ctx, found.cluster.ID)
		return err
	})
	group.Go(func() (err error) {
		found.vpc, err = find(func(o *godo.ListOptions) ([]*godo.VPC, *godo.Response, error) { return p.api.VPCs.List(ctx, o) },
			func(vpc *godo.VPC) bool { return vpc.Name == v.Name })
		return wrap("look for the network", err)
	})
	group.Go(func() (err error) {
		projects, err := all(func(o *godo.ListOptions) ([]godo.Project, *godo.Response, error) { return p.api.Projects.List(ctx, o) })
		for _, project := range projects {
			found.projects = append(found.projects, project.ID)
			if project.Name == v.Name {
				found.project = &project
			}
		}
		return wrap("look for the project", err)
	})
	group.Go(func() (err error) {
		found.bucket, err = p.bucketExists(ctx, v.Bucket)
		return err
	})
	group.Go(func() error {
		keys, err := all(func(o *godo.ListOptions) ([]*godo.SpacesKey, *godo.Response, error) {
			return p.api.SpacesKeys.List(ctx, o)
		})
		for _, key := range keys {
			if key.Name == v.Name+"-cluster" && len(key.Grants) == 1 && key.Grants[0].Bucket == v.Bucket {
				found.keys = append(found.keys, key)
			}
		}
		return wrap("look for the Space's key", err)
	})
	if v.Registry != nil {
		group.Go(func() error { return p.surveyRegistries(ctx, *v.Registry, found) })
	}
	if v.Domain != nil {
		group.Go(func() error { return p.surveyDomain(ctx, *v.Domain, found) })
	}
	group.Go(func() error { return p.surveyDatabase(ctx, v, found) })
	return found, group.Wait()
}

func (p *Provider) surveyDomain(ctx context.Context, name string, found *inventory) error {
	domain, _, err := p.api.Domains.Get(ctx, name)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return wrap("look for the domain", explain(err))
	}
	found.domain = domain
	found.records, err = all(func(o *godo.ListOptions) ([]godo.DomainRecord, *godo.Response, error) {
		return p.api.Domains.Records(ctx, name, o)
	})
	return wrap("look for DNS records", err)
}

func (p *Provider) surveyRegistries(ctx context.Context, name string, found *inventory) error {
	registries, _, err := p.api.Registries.List(ctx)
	if isNone(err) || err == nil && len(registries) == 0 {
		return nil
	}
	if err != nil {
		return wrap("look for the container registry", explain(err))
	}
	for _, registry := range registries {
		found.registries = append(found.registries, registry.Name)
		if registry.Name == name {
			found.registry = registry
		}
	}
	subscription, _, err := p.api.Registries.GetSubscription(ctx)
	if isNone(err) {
		return nil
	}
	if err != nil {
		return wrap("look for the subscription to container registries", explain(err))
	}
	found.tier = subscription.Tier
	return nil
}

// isNone reports whether the API says that an account has no registry at all.
func isNone(err error) bool { return isNotFound(err) || hasStatus(err, http.StatusPreconditionFailed) }

// surveyDatabase looks for the database also where berth.yaml has none any more,
// as far as the token lets it: it must not be taken for gone.
func (p *Provider) surveyDatabase(ctx context.Context, v variables, found *inventory) error {
	databases, err := all(func(o *godo.ListOptions) ([]godo.Database, *godo.Response, error) {
		return p.api.Databases.List(ctx, o)
	})
	if hasStatus(err, http.StatusForbidden) && v.PostgresSize == nil {
		return nil
	}
	if err != nil {
		return wrap("look for the PostgreSQL cluster", err)
	}
	for _, database := range databases {
		if database.Name == v.Name+"-postgres" {
			found.database = &database
		}
	}
	if found.database == nil {
		return nil
	}
	found.schemas, err = all(func(o *godo.ListOptions) ([]godo.DatabaseDB, *godo.Response, error) {
		return p.api.Databases.ListDBs(ctx, found.database.ID, o)
	})
	return wrap("look for databases", err)
}

// findIngress returns the load balancer of the ingress controller, or nil.
func (p *Provider) findIngress(ctx context.Context, clusterID string) (*godo.LoadBalancer, error) {
	balancers, err := all(func(o *godo.ListOptions) ([]godo.LoadBalancer, *godo.Response, error) {
		return p.api.LoadBalancers.List(ctx, o)
	})
	for _, balancer := range balancers {
		if balancer.Name == p.ingressName() && slices.Contains(balancer.Tags, clusterTag(clusterID)) {
			return &balancer, nil
		}
	}
	return nil, wrap("look for the load balancer", err)
}

// clusterTag is what DigitalOcean's controllers put on the load balancers and
// volumes that they make for a cluster.
func clusterTag(id string) string { return "k8s:" + id }

// found is one thing that exists, with the identifier that Terraform imports
// it by.
type foundThing struct{ address, id string }

// unknown are the things that exist and are not in the state, in an order in
// which they can be imported.
func (i *inventory) unknown(v variables, s state) ([]foundThing, error) {
	var things []foundThing
	add := func(address, id string) {
		if !s.has(address) {
			things = append(things, foundThing{address, id})
		}
	}
	if i.vpc != nil {
		if !s.has(vpcAddress) && !strings.Contains(i.vpc.Description, v.Name) {
			return nil, notOurs("network (VPC)", v.Name)
		}
		add(vpcAddress, i.vpc.ID)
	}
	if i.cluster != nil {
		add(clusterAddress, i.cluster.ID)
	}
	if i.bucket {
		add(bucketAddress, bucketRegion(v.Region)+","+v.Bucket)
	}
	if i.project != nil {
		if !s.has(projectAddress) && !strings.Contains(i.project.Description, v.Name) {
			return nil, notOurs("project", v.Name)
		}
		add(projectAddress, i.project.ID)
	}
	if i.registry != nil {
		add(registryAddress, i.registry.Name)
	}
	if i.database != nil && v.PostgresSize != nil {
		add(databaseAddress, i.database.ID)
		for _, schema := range i.schemas {
			if slices.Contains(v.PostgresDatabases, schema.Name) {
				add(fmt.Sprintf("%s.environment[%q]", databaseSchemaType, schema.Name), i.database.ID+","+schema.Name)
			}
		}
	}
	records, err := i.unknownRecords(v, s)
	return append(things, records...), err
}

// unknownRecords are the DNS records that already say what they should. A host
// whose record says something else is in use by somebody.
func (i *inventory) unknownRecords(v variables, s state) ([]foundThing, error) {
	if v.Domain == nil || v.IngressIP == nil {
		return nil, nil
	}
	var things []foundThing
	for _, host := range v.Hosts {
		address := recordOf(host)
		if s.has(address) {
			continue
		}
		for _, record := range i.records {
			if record.Type != "A" || record.Name != nameIn(host, *v.Domain) {
				continue
			}
			if record.Data != *v.IngressIP {
				return nil, fault.WithHint(fmt.Errorf("%s has a DNS record already, which says %s", host, record.Data),
					"remove that record if this cluster should serve the host; the cluster's address is %s", *v.IngressIP)
			}
			things = append(things, foundThing{address, *v.Domain + "," + strconv.Itoa(record.ID)})
		}
	}
	return things, nil
}

func notOurs(what, name string) error {
	return fault.WithHint(fmt.Errorf("there is a %s called %s that berth did not make", what, name),
		"set another name under digitalocean.cluster in berth.yaml")
}

// find returns the first of a list that is wanted, or nil.
func find[T any](list func(*godo.ListOptions) ([]*T, *godo.Response, error), wanted func(*T) bool) (*T, error) {
	found, err := all(list)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(found, wanted); i >= 0 {
		return found[i], nil
	}
	return nil, nil
}
