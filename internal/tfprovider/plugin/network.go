package plugin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

func vpcResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		vpc, _, err := c.api.VPCs.Get(ctx, state.text("id"))
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error reading VPC: %w", err)
		}
		for name, value := range map[string]any{
			"name": vpc.Name, "region": vpc.RegionSlug, "description": vpc.Description, "ip_range": vpc.IPRange,
			"urn": vpc.URN, "default": vpc.Default, "created_at": stamp(vpc.CreatedAt),
		} {
			state[name] = value
		}
		return state, nil
	}
	return &resource{
		forceNew: []string{"region", "ip_range"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			vpc, _, err := c.api.VPCs.Create(ctx, &godo.VPCCreateRequest{
				Name: planned.text("name"), RegionSlug: planned.text("region"), Description: planned.text("description"), IPRange: planned.text("ip_range"),
			})
			if err != nil {
				return nil, fmt.Errorf("error creating VPC: %w", err)
			}
			planned["id"] = vpc.ID
			return read(ctx, c, settle(planned))
		},
		read: read,
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			if changed(prior, planned, "name", "description") {
				request := &godo.VPCUpdateRequest{Name: planned.text("name"), Description: planned.text("description"), Default: godo.PtrTo(planned.flag("default"))}
				if _, _, err := c.api.VPCs.Update(ctx, prior.text("id"), request); err != nil {
					return nil, fmt.Errorf("error updating VPC : %w", err)
				}
			}
			return read(ctx, c, planned)
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			var last error
			err := wait(ctx, state, "delete", 2*time.Minute, func() (bool, error) {
				_, last = c.api.VPCs.Delete(ctx, state.text("id"))
				// It still has members.
				if hasStatus(last, http.StatusForbidden) {
					return false, nil
				}
				return true, nil
			})
			if err == nil || last != nil {
				err = last
			}
			if err != nil {
				return fmt.Errorf("error deleting VPC: %w", err)
			}
			return nil
		},
		imported: byID,
	}
}

func domainResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		domain, _, err := c.api.Domains.Get(ctx, state.text("id"))
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error retrieving domain: %w", err)
		}
		state["name"], state["urn"], state["ttl"] = domain.Name, domain.URN(), float64(domain.TTL)
		return state, nil
	}
	return &resource{
		forceNew: []string{"name", "ip_address"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			domain, _, err := c.api.Domains.Create(ctx, &godo.DomainCreateRequest{Name: planned.text("name"), IPAddress: planned.text("ip_address")})
			if err != nil {
				return nil, fmt.Errorf("error creating Domain: %w", err)
			}
			planned["id"] = domain.Name
			return read(ctx, c, settle(planned))
		},
		read:   read,
		update: func(_ context.Context, _ *clients, _, planned object) (object, error) { return planned, nil },
		remove: func(ctx context.Context, c *clients, state object) error {
			if _, err := c.api.Domains.Delete(ctx, state.text("id")); err != nil {
				return fmt.Errorf("error deleting Domain: %w", err)
			}
			return nil
		},
		imported: byID,
	}
}

func recordResource() *resource {
	id := func(o object) (int, error) {
		n, err := strconv.Atoi(o.text("id"))
		if err != nil {
			return 0, fmt.Errorf("invalid record ID: %w", err)
		}
		return n, nil
	}
	request := func(o object) *godo.DomainRecordEditRequest {
		return &godo.DomainRecordEditRequest{
			Type: o.text("type"), Name: o.text("name"), Data: o.text("value"), Port: o.number("port"), Priority: o.number("priority"),
			TTL: o.number("ttl"), Weight: o.number("weight"), Flags: o.number("flags"), Tag: o.text("tag"),
		}
	}
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		n, err := id(state)
		if err != nil {
			return nil, err
		}
		record, _, err := c.api.Domains.Record(ctx, state.text("domain"), n)
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		fqdn := record.Name + "." + state.text("domain")
		if record.Name == "@" {
			fqdn = state.text("domain")
		}
		for name, value := range map[string]any{
			"name": record.Name, "type": record.Type, "value": record.Data, "port": float64(record.Port), "priority": float64(record.Priority),
			"ttl": float64(record.TTL), "weight": float64(record.Weight), "flags": float64(record.Flags), "tag": record.Tag, "fqdn": fqdn,
		} {
			state[name] = value
		}
		return state, nil
	}
	return &resource{
		forceNew: []string{"domain", "type"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			record, _, err := c.api.Domains.CreateRecord(ctx, planned.text("domain"), request(planned))
			if err != nil {
				return nil, fmt.Errorf("failed to create record: %w", err)
			}
			planned["id"] = strconv.Itoa(record.ID)
			return read(ctx, c, settle(planned))
		},
		read: read,
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			n, err := id(prior)
			if err != nil {
				return nil, err
			}
			if _, _, err := c.api.Domains.EditRecord(ctx, prior.text("domain"), n, request(planned)); err != nil {
				return nil, fmt.Errorf("failed to update record: %w", err)
			}
			return read(ctx, c, settle(planned))
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			n, err := id(state)
			if err != nil {
				return err
			}
			if _, err := c.api.Domains.DeleteRecord(ctx, state.text("domain"), n); err != nil && !gone(err) {
				return fmt.Errorf("error deleting record: %w", err)
			}
			return nil
		},
		imported: func(_ context.Context, _ *clients, id string) (object, error) {
			domain, record, ok := strings.Cut(id, ",")
			if !ok {
				return nil, fmt.Errorf("importing a record requires the format: <domain>,<id>")
			}
			return object{"id": record, "domain": domain}, nil
		},
	}
}
