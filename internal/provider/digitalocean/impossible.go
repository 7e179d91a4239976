package digitalocean

import (
	"errors"
	"fmt"
	"strings"

	"berth/internal/fault"
)

// impossible says what of an intent DigitalOcean or Terraform's plugin would fail
// on half-way, although a plan does not show it.
func (in *intent) impossible() error {
	v, found := in.variables, in.found
	if v.PostgresSize != nil && v.MaintenanceDay == "any" {
		// The plugin crashes over a window that it reads and nobody wants.
		return fault.WithHint(errors.New(`digitalocean.maintenance is "any", but a managed PostgreSQL is maintained on a certain day`),
			`name one in berth.yaml, like maintenance: "sunday %s"`, v.MaintenanceStart)
	}
	if found.cluster != nil && found.cluster.HA && !v.HA {
		return fault.WithHint(errors.New("the control plane is highly available, which cannot be undone"),
			"set digitalocean.highAvailability: true in berth.yaml; only a new cluster can be without")
	}
	if err := found.noRoomForRegistry(v); err != nil {
		return err
	}
	return found.blockedHost(v, in.known)
}

// noRoomForRegistry says that the account's subscription allows no registry
// besides those that it has.
func (i *inventory) noRoomForRegistry(v variables) error {
	if v.Registry == nil || i.registry != nil || len(i.registries) == 0 || i.tier == nil || i.tier.Slug == "professional" {
		return nil
	}
	return fault.WithHint(
		fmt.Errorf("the account has the container registry %s, and its subscription %q allows no other", strings.Join(i.registries, ", "), i.tier.Slug),
		"set digitalocean.containerRegistry: %s in berth.yaml, or subscribe to professional", i.registries[0])
}

// blockedHost names a host that something else answers for: a CNAME stands beside
// no other record, and an AAAA sends everybody with IPv6 elsewhere.
func (i *inventory) blockedHost(v variables, s state) error {
	if v.Domain == nil {
		return nil
	}
	for _, host := range v.Hosts {
		if s.has(recordOf(host)) {
			continue
		}
		for _, record := range i.records {
			if record.Name == nameIn(host, *v.Domain) && (record.Type == "CNAME" || record.Type == "AAAA") {
				return fault.WithHint(fmt.Errorf("%s has a DNS record of type %s, which says %s", host, record.Type, record.Data),
					"remove that record if this cluster should serve the host, else remove the host from berth.yaml")
			}
		}
	}
	return nil
}

// recordOf is the address of a host's record.
func recordOf(host string) string { return fmt.Sprintf("%s[%q]", recordAddress, host) }

// nameIn is a host's name in the domain that it belongs to, as records have it.
func nameIn(host, domain string) string {
	if host == domain {
		return "@"
	}
	return strings.TrimSuffix(host, "."+domain)
}

// why is an error in one line with its hint.
func why(err error) string {
	if hint := fault.Hint(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}
