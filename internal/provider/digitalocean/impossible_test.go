package digitalocean

import (
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"berth/internal/config"
	"berth/internal/fakedo/fake"
	"berth/internal/provider"
)

// What would fail half-way is refused before anything is changed, by the plan
// that a person is shown and by init alike.
func TestWhatCannotBeIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  func(t *testing.T, w *world)
		says    string
		instead string
	}{
		{"a database maintained on any day", func(_ *testing.T, w *world) {
			w.config.DigitalOcean.Database, w.config.DigitalOcean.Maintenance = "db-s-1vcpu-1gb", "any 04:00"
		}, `digitalocean.maintenance is "any"`, `maintenance: "sunday 04:00"`},
		{"high availability turned off", func(t *testing.T, w *world) {
			initialized(t, w)
			if err := w.do.Change(func(a *fake.Account) { a.Clusters[0].HA = true }); err != nil {
				t.Fatal(err)
			}
		}, "cannot be undone", "highAvailability: true"},
		{"a second registry", func(t *testing.T, w *world) {
			w.makeRegistry(t, "others", "basic")
			w.config.DigitalOcean.Registry, w.config.DigitalOcean.ContainerRegistry = "", "shop-images"
		}, `the container registry others, and its subscription "basic" allows no other`, "containerRegistry: others"},
		{"a host that is an alias", func(t *testing.T, w *world) { w.makeRecord(t, "staging", "CNAME", "elsewhere.example.net.") },
			"staging.example.com has a DNS record of type CNAME, which says elsewhere.example.net", "remove that record"},
		{"a domain that has an IPv6 address", func(t *testing.T, w *world) { w.makeRecord(t, "@", "AAAA", "2001:db8::7") },
			"example.com has a DNS record of type AAAA, which says 2001:db8::7", "remove that record"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			w := start(t)
			c.before(t, w)
			before := w.account(t)
			plan, err := w.Plan(t.Context(), w.said)
			if err != nil || !strings.Contains(plan.Refused, c.says) || !strings.Contains(plan.Refused, c.instead) {
				t.Errorf("the plan is %+v, %v", plan, err)
			}
			wantError(t, w.Init(t.Context(), w.said), c.says, c.instead)
			if diff := cmp.Diff(before, w.account(t)); diff != "" {
				t.Errorf("it changed the account:\n%s", diff)
			}
			if _, err := w.Destroy(t.Context(), w.said); err != nil {
				t.Errorf("destroy: %v", err)
			}
		})
	}
}

func (w *world) makeRegistry(t *testing.T, name, tier string) {
	t.Helper()
	if _, _, err := w.api.Registries.Create(t.Context(), &godo.RegistryCreateRequest{Name: name, SubscriptionTierSlug: tier, Region: "fra1"}); err != nil {
		t.Fatal(err)
	}
}

// makeRecord makes a record of a domain that the shop wants.
func (w *world) makeRecord(t *testing.T, name, kind, data string) {
	t.Helper()
	w.config.DigitalOcean.Domain = "example.com"
	if _, _, err := w.api.Domains.Create(t.Context(), &godo.DomainCreateRequest{Name: "example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.api.Domains.CreateRecord(t.Context(), "example.com", &godo.DomainRecordEditRequest{Type: kind, Name: name, Data: data, TTL: 60}); err != nil {
		t.Fatal(err)
	}
}

// The subscription is the account's, and somebody changed it for a reason.
func TestTheRegistrysTierStays(t *testing.T) {
	w := start(t)
	w.config.DigitalOcean.Registry, w.config.DigitalOcean.ContainerRegistry = "", "shop-images"
	w.mustInit(t)
	if _, _, err := w.api.Registries.UpdateSubscription(t.Context(), &godo.RegistrySubscriptionUpdateRequest{TierSlug: "professional"}); err != nil {
		t.Fatal(err)
	}
	w.makeRegistry(t, "others", "professional")
	if plan, want := w.wantNoChange(t), 2*24.0+15+5+20; plan.Monthly() != want {
		t.Errorf("it costs %.2f, want %.2f", plan.Monthly(), want)
	}
	w.kube.deploy()
	if err := w.Scale(t.Context(), provider.Scale{Nodes: 3}, w.said); err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	for _, registry := range w.account(t).Registries {
		if registry.Tier != "professional" {
			t.Errorf("%s is %s", registry.Name, registry.Tier)
		}
	}
}

// Of several registries it finds its own.
func TestOneRegistryOfSeveral(t *testing.T) {
	w := start(t)
	w.config.DigitalOcean.Registry, w.config.DigitalOcean.ContainerRegistry = "", "shop-images"
	w.makeRegistry(t, "others", "professional")
	w.makeRegistry(t, "shop-images", "professional")
	w.config.Environments["staging"] = config.Environment{Hosts: []string{"staging.example.com"}, Database: config.SQLite}
	w.mustInit(t)
	w.wantNoChange(t)
	kept, err := w.Destroy(t.Context(), w.said)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	if text := strings.Join(kept, "\n"); !strings.Contains(text, "container registry shop-images") || len(w.account(t).Registries) != 2 {
		t.Errorf("it keeps %s", text)
	}
}

// A scale ends where init does, so it does not begin what init would refuse.
func TestAScaleThatCannotEndDoesNotBegin(t *testing.T) {
	w := start(t)
	initialized(t, w)
	w.makeRecord(t, "staging", "CNAME", "elsewhere.example.net.")
	wantError(t, w.Scale(t.Context(), provider.Scale{Size: "s-4vcpu-8gb"}, w.said), "staging.example.com has a DNS record of type CNAME", "remove that record")
	w.wantShop(t, w.shop(t).ID, "s-2vcpu-4gb", 2)
}
