package fake

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/digitalocean/godo"
)

// LoadBalancer is a load balancer with when it was made.
type LoadBalancer struct {
	godo.LoadBalancer
	Made time.Time `json:"fake_made"`
}

// routeNetwork answers for VPCs and load balancers.
func (f *Fake) routeNetwork() {
	const vpcs = "/v2/vpcs"
	f.handle("GET "+vpcs, list("vpcs", func(*http.Request) []*godo.VPC { return f.account.VPCs }))
	f.handle("POST "+vpcs, f.createVPC)
	f.handle("GET "+vpcs+"/{vpc}", f.withVPC(func(_ *http.Request, v *godo.VPC) (int, any, error) {
		return http.StatusOK, map[string]any{"vpc": v}, nil
	}))
	update := f.withVPC(func(r *http.Request, v *godo.VPC) (int, any, error) {
		var request godo.VPCUpdateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		v.Name = orElse(request.Name, v.Name)
		v.Description = request.Description
		return http.StatusOK, map[string]any{"vpc": v}, nil
	})
	f.handle("PUT "+vpcs+"/{vpc}", update)
	f.handle("PATCH "+vpcs+"/{vpc}", update)
	f.handle("GET "+vpcs+"/{vpc}/members", f.withVPC(func(r *http.Request, v *godo.VPC) (int, any, error) {
		body, err := page(r, "members", f.members(v.ID))
		return http.StatusOK, body, err
	}))
	f.handle("DELETE "+vpcs+"/{vpc}", f.withVPC(func(_ *http.Request, v *godo.VPC) (int, any, error) {
		if v.Default {
			return 0, nil, &apiError{http.StatusForbidden, "forbidden", "Can not delete default VPCs"}
		}
		if len(f.members(v.ID)) > 0 {
			return 0, nil, &apiError{http.StatusForbidden, "forbidden", "Can not delete VPC with members"}
		}
		f.account.VPCs = slices.DeleteFunc(f.account.VPCs, func(o *godo.VPC) bool { return o.ID == v.ID })
		return http.StatusNoContent, nil, nil
	}))

	const balancers = "/v2/load_balancers"
	f.handle("GET "+balancers, list("load_balancers", func(r *http.Request) []*godo.LoadBalancer {
		var all []*godo.LoadBalancer
		names, uuids := r.URL.Query()["names"], r.URL.Query()["uuids"]
		for _, b := range f.account.LoadBalancers {
			if (len(names) == 0 || slices.Contains(names, b.Name)) && (len(uuids) == 0 || slices.Contains(uuids, b.ID)) {
				all = append(all, &b.LoadBalancer)
			}
		}
		return all
	}))
	f.handle("POST "+balancers, f.createLoadBalancer)
	f.handle("GET "+balancers+"/{balancer}", f.withLoadBalancer(func(_ *http.Request, b *LoadBalancer) (int, any, error) {
		return http.StatusOK, map[string]any{"load_balancer": b.LoadBalancer}, nil
	}))
	f.handle("DELETE "+balancers+"/{balancer}", f.withLoadBalancer(func(_ *http.Request, b *LoadBalancer) (int, any, error) {
		f.deleteAssociated([]string{b.ID}, nil, nil)
		return http.StatusNoContent, nil, nil
	}))
}

func (f *Fake) withVPC(work func(*http.Request, *godo.VPC) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*godo.VPC, error) {
		return find(f.account.VPCs, func(v *godo.VPC) bool { return v.ID == r.PathValue("vpc") })
	}, work)
}

func (f *Fake) withLoadBalancer(work func(*http.Request, *LoadBalancer) (int, any, error)) endpoint {
	return with(func(r *http.Request) (*LoadBalancer, error) {
		return find(f.account.LoadBalancers, func(b *LoadBalancer) bool { return b.ID == r.PathValue("balancer") })
	}, work)
}

func (f *Fake) createVPC(r *http.Request) (int, any, error) {
	var request godo.VPCCreateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	if !knownRegion(request.RegionSlug) {
		return 0, nil, unprocessable("validation error: region %q is not available", request.RegionSlug)
	}
	var taken []netip.Prefix
	for _, v := range f.account.VPCs {
		if v.Name == request.Name {
			return 0, nil, unprocessable("a VPC with this name already exists")
		}
		taken = append(taken, netip.MustParsePrefix(v.IPRange))
	}
	wanted, err := freeRange(request.IPRange, taken)
	if err != nil {
		return 0, nil, err
	}
	id := newID()
	v := &godo.VPC{
		ID: id, URN: godo.ToURN("vpc", id), Name: request.Name, Description: request.Description, RegionSlug: request.RegionSlug,
		IPRange: wanted.String(), CreatedAt: f.options.Now().UTC(),
		Default: !slices.ContainsFunc(f.account.VPCs, func(v *godo.VPC) bool { return v.Default && v.RegionSlug == request.RegionSlug }) && request.Name == "default-"+request.RegionSlug,
	}
	f.account.VPCs = append(f.account.VPCs, v)
	return http.StatusCreated, map[string]any{"vpc": v}, nil
}

// freeRange takes the range that was asked for, or finds one, that no other VPC
// overlaps.
func freeRange(asked string, taken []netip.Prefix) (netip.Prefix, error) {
	overlaps := func(p netip.Prefix) bool { return slices.ContainsFunc(taken, p.Overlaps) }
	if asked != "" {
		p, err := netip.ParsePrefix(asked)
		switch {
		case err != nil || !p.Addr().Is4() || p.Bits() < 16 || p.Bits() > 28:
			return p, unprocessable("validation error: ip_range is invalid")
		case overlaps(p):
			return p, unprocessable("This range/size overlaps with another VPC network in your account")
		}
		return p.Masked(), nil
	}
	for third := 0; third < 256; third += 16 {
		if p := netip.MustParsePrefix(fmt.Sprintf("10.114.%d.0/20", third)); !overlaps(p) {
			return p, nil
		}
	}
	return netip.Prefix{}, unprocessable("there is no free range left")
}

// members lists what occupies a VPC: nodes, load balancers and databases.
func (f *Fake) members(vpc string) []*godo.VPCMember {
	members := []*godo.VPCMember{}
	for _, c := range f.account.Clusters {
		if c.VPCUUID != vpc {
			continue
		}
		for _, pool := range c.NodePools {
			for _, node := range pool.Nodes {
				members = append(members, &godo.VPCMember{URN: godo.ToURN("droplet", node.DropletID), Name: node.Name, CreatedAt: node.CreatedAt})
			}
		}
	}
	for _, b := range f.account.LoadBalancers {
		if b.VPCUUID == vpc {
			members = append(members, &godo.VPCMember{URN: b.URN(), Name: b.Name, CreatedAt: b.Made})
		}
	}
	for _, d := range f.account.Databases {
		if d.PrivateNetworkUUID == vpc {
			members = append(members, &godo.VPCMember{URN: databaseURN(d.ID), Name: d.Name, CreatedAt: d.CreatedAt})
		}
	}
	return members
}

func (f *Fake) createLoadBalancer(r *http.Request) (int, any, error) {
	var request godo.LoadBalancerRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	kind := orElse(request.Type, godo.LoadBalancerTypeRegional)
	switch {
	case !knownRegion(request.Region):
		return 0, nil, unprocessable("validation error: region %q is not available", request.Region)
	case slices.ContainsFunc(f.account.LoadBalancers, func(b *LoadBalancer) bool { return b.Name == request.Name }):
		return 0, nil, unprocessable("a load balancer with this name already exists")
	case len(request.ForwardingRules) == 0:
		return 0, nil, unprocessable("validation error: forwarding rules are required")
	case kind == godo.LoadBalancerTypeRegionalNetwork && request.EnableProxyProtocol:
		return 0, nil, unprocessable("validation error: PROXY protocol is not supported by network load balancers")
	}
	now := f.options.Now().UTC()
	b := &LoadBalancer{Made: now, LoadBalancer: godo.LoadBalancer{
		ID: newID(), Name: request.Name, Status: "new", Created: now.Format(time.RFC3339), Type: kind,
		Region: region(request.Region), ForwardingRules: request.ForwardingRules, HealthCheck: request.HealthCheck,
		SizeUnit: max(request.SizeUnit, 1), Algorithm: "round_robin", Tags: request.Tags, Tag: request.Tag,
		EnableProxyProtocol: request.EnableProxyProtocol, VPCUUID: request.VPCUUID, ProjectID: request.ProjectID,
		DropletIDs: request.DropletIDs, Network: orElse(request.Network, godo.LoadBalancerNetworkTypeExternal),
	}}
	f.account.LoadBalancers = append(f.account.LoadBalancers, b)
	f.account.tagged(b.Tags)
	f.assignBesideCluster(b.URN(), b.Tags)
	f.account.action("create", "load_balancer", now)
	f.account.advance(f.options.Now(), f.options.Delay)
	return http.StatusAccepted, map[string]any{"load_balancer": b.LoadBalancer}, nil
}
