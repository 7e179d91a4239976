package digitalocean

import (
	"context"
	"fmt"
	"slices"

	"github.com/digitalocean/godo"

	"berth/internal/provider"
)

// The prices that the API does not tell, in US dollars a month, as
// https://www.digitalocean.com/pricing and the products' own pages said in
// pricesAsOf.
const (
	pricesAsOf          = "2025"
	controlPlaneHA      = 40.0
	networkLoadBalancer = 15.0
	spacesSubscription  = 5.0
	basicRegistry       = 5.0
	volumeGiB           = 0.10
)

// databasePrices are those of the usual sizes of managed PostgreSQL; for others
// a plan says that it does not know.
var databasePrices = map[string]float64{
	"db-s-1vcpu-1gb": 15.15, "db-s-1vcpu-2gb": 30.45, "db-s-2vcpu-4gb": 60.90, "db-s-4vcpu-8gb": 122.10,
}

// price returns what everything that v describes costs a month.
func (p *Provider) price(ctx context.Context, v variables, found *inventory) ([]provider.Cost, []string, error) {
	sizes, err := all(func(o *godo.ListOptions) ([]godo.Size, *godo.Response, error) { return p.api.Sizes.List(ctx, o) })
	if err != nil {
		return nil, nil, wrap("read the prices of nodes", err)
	}
	var costs []provider.Cost
	var notes []string
	add := func(what string, count int, each float64, from string) {
		costs = append(costs, provider.Cost{What: what, Count: count, Each: each, Dollars: float64(count) * each, From: from})
	}
	nodes := func(what, size string, count int) {
		i := slices.IndexFunc(sizes, func(s godo.Size) bool { return s.Slug == size })
		if i < 0 {
			notes = append(notes, fmt.Sprintf("the API has no price for nodes of size %s", size))
			return
		}
		add(what+" "+size, count, sizes[i].PriceMonthly, "API")
	}
	nodes("nodes", v.NodeSize, v.NodeCount)
	if v.MaxNodes != nil && *v.MaxNodes > v.NodeCount {
		notes = append(notes, fmt.Sprintf("the cluster may grow to %d nodes by itself, and costs more then", *v.MaxNodes))
	}
	if found.cluster != nil {
		mine := found.pool()
		for _, pool := range found.cluster.NodePools {
			if mine == nil || pool.ID != mine.ID {
				nodes("nodes of pool "+pool.Name+", which is not Terraform's,", pool.Size, pool.Count)
			}
		}
	}
	const listed = "price list of " + pricesAsOf
	if v.HA {
		add("highly available control plane", 1, controlPlaneHA, listed)
	}
	if p.loadBalancer() != nil {
		add("load balancer", 1, networkLoadBalancer, listed)
	}
	add("Spaces, up to 250 GiB in all the account's Spaces", 1, spacesSubscription, listed)
	if v.Registry != nil {
		if found.tier != nil {
			add("container registry, "+found.tier.Slug, 1, float64(found.tier.MonthlyPriceInCents)/100, "API")
		} else {
			add("container registry, basic", 1, basicRegistry, listed)
		}
	}
	if v.PostgresSize != nil {
		if each, ok := databasePrices[*v.PostgresSize]; ok {
			add("managed PostgreSQL "+*v.PostgresSize, 1, each, listed)
		} else {
			notes = append(notes, "the price of managed PostgreSQL "+*v.PostgresSize+" is not known here")
		}
	}
	if p.config.Metrics.Kept() {
		add("volume of metrics, 2 GiB", 1, 2*volumeGiB, listed)
	}
	notes = append(notes, fmt.Sprintf("not included: volumes of databases at $%.2f a GiB (%s), and traffic beyond what the nodes include", volumeGiB, listed))
	return costs, notes, nil
}
