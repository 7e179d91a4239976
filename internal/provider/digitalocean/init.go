package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"slices"

	tfjson "github.com/hashicorp/terraform-json"

	"berth/internal/progress"
	"berth/internal/provider"
)

// intent is what a run of Terraform goes by: what exists, what its state knows, and the
// variables that say what is wanted.
type intent struct {
	found     *inventory
	known     state
	variables variables
	// going are the addresses that a destroy has Terraform remove.
	going map[string]bool
}

// Init implements provider.Provider.
func (p *Provider) Init(ctx context.Context, r progress.Reporter) error {
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	w, err := p.open(ctx, r)
	if err != nil {
		return err
	}
	return p.converge(ctx, w, r, func(*variables) {})
}

// converge makes the account match the variables, which change may edit first, and
// waits until every node is ready.
func (p *Provider) converge(ctx context.Context, w *workspace, r progress.Reporter, change func(*variables)) error {
	if err := p.awaitSettled(ctx, r); err != nil {
		return err
	}
	in, err := p.prepare(ctx, w, r, change)
	if err != nil {
		return err
	}
	if in.found.cluster == nil {
		if err := p.checkScopes(ctx, r); err != nil {
			return err
		}
	}
	if err := p.dropLostKeys(ctx, in); err != nil {
		return err
	}
	changed, err := p.change(ctx, w, in, r)
	if err != nil {
		return err
	}
	if note := in.delegation(); note != "" {
		r.Note(note)
	}
	after := in.known
	if changed {
		if after, err = w.state(ctx); err != nil {
			return err
		}
	}
	if host := after.text("postgres_host"); host != "" {
		r.Note("the managed PostgreSQL is at " + host + "; docs/digitalocean.md says how the application finds it")
	}
	cluster, err := p.awaitNodes(ctx, r)
	if err != nil {
		return err
	}
	return storeKey(ctx, cluster, after.text("bucket_access_key"), after.text("bucket_secret_key"))
}

// prepare looks at what exists and writes what Terraform reads: the variables, and what
// to import. It changes nothing at DigitalOcean.
func (p *Provider) prepare(ctx context.Context, w *workspace, r progress.Reporter, change func(*variables)) (in *intent, err error) {
	err = progress.Run(r, "Look at what is there", func(progress.Step) error {
		if in, err = p.look(ctx, w, change); err != nil {
			return err
		}
		if err := w.writeVariables(in.variables); err != nil {
			return fmt.Errorf("write Terraform's variables: %w", err)
		}
		things, err := in.found.unknown(in.variables, in.known)
		if err != nil {
			return err
		}
		if err := w.writeImports(things); err != nil {
			return fmt.Errorf("write what Terraform imports: %w", err)
		}
		// The plugin takes a project that is gone for an error, not for gone.
		if id := in.known.id(projectAddress); id != "" && !slices.Contains(in.found.projects, id) {
			if err := w.forget(ctx, projectAddress); err != nil {
				return err
			}
			delete(in.known.resources, projectAddress)
		}
		return w.untaint(ctx, in.known)
	})
	return in, err
}

// look collects what exists and what is wanted, and changes nothing.
func (p *Provider) look(ctx context.Context, w *workspace, change func(*variables)) (*intent, error) {
	v := newVariables(p.config)
	found, err := p.survey(ctx, v)
	if err != nil {
		return nil, err
	}
	known, err := w.state(ctx)
	if err != nil {
		return nil, err
	}
	v.follow(known, found)
	if found.ingress != nil && found.ingress.IP != "" {
		v.IngressIP = &found.ingress.IP
	}
	// A domain that was there before is used and never removed.
	v.CreateDomain = v.Domain != nil && (found.domain == nil || known.has(domainAddress))
	change(&v)
	return &intent{found: found, known: known, variables: v}, nil
}

// dropLostKeys removes keys of the Space whose secret part nobody knows any
// more: a create whose answer was lost leaves one.
func (p *Provider) dropLostKeys(ctx context.Context, in *intent) error {
	known := ""
	if resource, ok := in.known.resources[keyAddress]; ok {
		known, _ = resource.AttributeValues["access_key"].(string)
	}
	for _, key := range in.found.keys {
		if key.AccessKey == known {
			continue
		}
		if _, err := p.api.SpacesKeys.Delete(ctx, key.AccessKey); err != nil && !isNotFound(err) {
			return wrap("remove a Space's key that is lost", explain(err))
		}
	}
	return nil
}

// change plans and applies, and reports whether there was anything to do. A plan
// that would lose data is refused before anything is changed.
func (p *Provider) change(ctx context.Context, w *workspace, in *intent, r progress.Reporter) (changed bool, err error) {
	if err := in.impossible(); err != nil {
		return false, err
	}
	var plan *tfjson.Plan
	err = progress.Run(r, "Plan", func(progress.Step) (err error) {
		if plan, err = w.plan(ctx, false); err != nil {
			return err
		}
		return refuse(plan)
	})
	if err != nil {
		return false, errors.Join(err, w.dropPlan())
	}
	todo := changes(plan)
	if len(todo) == 0 && !onlyOutputs(plan) {
		return false, w.dropPlan()
	}
	if len(todo) > 0 {
		if err := p.announce(ctx, in, todo, r); err != nil {
			return false, errors.Join(err, w.dropPlan())
		}
	}
	if err := p.shrink(ctx, in, r); err != nil {
		return false, errors.Join(err, w.dropPlan())
	}
	return true, w.apply(ctx, r)
}

// announce says what is about to be done, and what everything costs then.
func (p *Provider) announce(ctx context.Context, in *intent, todo []provider.Change, r progress.Reporter) error {
	costs, _, err := p.price(ctx, in.variables, in.found)
	if err != nil {
		return err
	}
	for _, one := range todo {
		r.Note(one.String())
	}
	plan := provider.Plan{Costs: costs}
	r.Note(fmt.Sprintf("all of it costs about $%.2f a month; berth init --plan says what", plan.Monthly()))
	return nil
}

// Plan implements provider.Planner.
func (p *Provider) Plan(ctx context.Context, r progress.Reporter) (*provider.Plan, error) {
	unlock, err := p.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	w, err := p.open(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := p.awaitSettled(ctx, r); err != nil {
		return nil, err
	}
	in, err := p.prepare(ctx, w, r, func(*variables) {})
	if err != nil {
		return nil, err
	}
	if err := in.impossible(); err != nil {
		return &provider.Plan{Changes: []provider.Change{}, Refused: why(err)}, nil
	}
	var planned *tfjson.Plan
	if err := progress.Run(r, "Plan", func(progress.Step) (err error) {
		planned, err = w.plan(ctx, false)
		return err
	}); err != nil {
		return nil, err
	}
	if err := w.dropPlan(); err != nil {
		return nil, err
	}
	plan := &provider.Plan{Changes: changes(planned), Notes: append(warnings(planned), p.oddities(in)...)}
	if err := refuse(planned); err != nil {
		plan.Refused = why(err)
	}
	costs, notes, err := p.price(ctx, in.variables, in.found)
	plan.Costs, plan.Notes = costs, append(plan.Notes, notes...)
	if note := in.delegation(); note != "" {
		plan.Notes = append(plan.Notes, note)
	}
	return plan, err
}

// oddities are what a plan of Terraform's does not show: node pools beside its
// own.
func (p *Provider) oddities(in *intent) []string {
	var lines []string
	mine := in.found.pool()
	if in.found.cluster == nil || mine == nil {
		return nil
	}
	for _, pool := range in.found.cluster.NodePools {
		if pool.ID != mine.ID {
			lines = append(lines, fmt.Sprintf("the cluster has another node pool, %s with %d × %s, which berth leaves alone; "+
				"a berth scale --size that was interrupted leaves one, and the same command finishes it", pool.Name, pool.Count, pool.Size))
		}
	}
	return lines
}

// nameServers are DigitalOcean's,
// https://docs.digitalocean.com/products/networking/dns/getting-started/dns-registrars.
const nameServers = "ns1.digitalocean.com, ns2.digitalocean.com and ns3.digitalocean.com"

// delegation says what makes a domain that is new here known to everybody; "" for
// one that was there.
func (in *intent) delegation() string {
	if in.variables.Domain == nil || in.found.domain != nil {
		return ""
	}
	return fmt.Sprintf("%s resolves only once it is delegated: enter %s as its name servers at the registrar where you bought it; "+
		"until that is known everywhere, which takes up to two days, no host answers and no certificate is issued", *in.variables.Domain, nameServers)
}
