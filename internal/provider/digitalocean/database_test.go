package digitalocean

import (
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"berth/internal/config"
	"berth/internal/fakedo/fake"
)

// withDatabase is a shop whose production is in a managed PostgreSQL, as in
// docs/digitalocean.md.
func withDatabase(t *testing.T) *world {
	t.Helper()
	w := start(t)
	w.config.DigitalOcean.Database = "db-s-1vcpu-1gb"
	w.config.Environments["production"] = config.Environment{Hosts: []string{"example.com"}, Database: config.NoDatabase}
	w.initializedAs(t, "with a database")
	return w
}

// database is the only one of the account.
func (w *world) database(t *testing.T) *fake.Database {
	t.Helper()
	databases := w.account(t).Databases
	if len(databases) != 1 {
		t.Fatalf("there are %d database clusters", len(databases))
	}
	return databases[0]
}

// What a managed PostgreSQL stores cannot be made again: it stays, with its
// databases, the network that it is in and a firewall, and init finds it again.
func TestDestroyKeepsTheManagedDatabase(t *testing.T) {
	for _, c := range []struct {
		what   string
		before func(t *testing.T, w *world)
	}{
		{"as init left it", func(*testing.T, *world) {}},
		{"which berth.yaml does not have any more", func(_ *testing.T, w *world) { w.config.DigitalOcean.Database = "" }},
		{"of which neither knows", func(t *testing.T, w *world) { w.loseState(t); w.config.DigitalOcean.Database = "" }},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := withDatabase(t)
			before := w.database(t)
			c.before(t, w)
			for range 2 { // the second time there is nothing else left
				kept, err := w.Destroy(t.Context(), w.said)
				if err != nil {
					t.Fatalf("%v\n%s", err, w.said)
				}
				text := strings.Join(kept, "\n")
				for _, want := range []string{"managed PostgreSQL shop-postgres", "doctl databases delete " + before.ID, "network shop"} {
					if !strings.Contains(text, want) {
						t.Errorf("it does not say that it keeps %s:\n%s", want, text)
					}
				}
			}
			after := w.database(t)
			if after.ID != before.ID || strings.Join(after.DBNames, " ") != "defaultdb production" {
				t.Errorf("the database was %+v and is %+v", before, after)
			}
			account := w.account(t)
			vpc := account.VPCs[0]
			if vpc.Name != "shop" || vpc.ID != after.PrivateNetworkUUID {
				t.Fatalf("the networks are %+v", account.VPCs)
			}
			if len(after.Rules) != 1 || after.Rules[0].Type != "ip_addr" || after.Rules[0].Value != vpc.IPRange {
				t.Errorf("the firewall lets in %+v, want the network %s alone", after.Rules, vpc.IPRange)
			}
			if len(account.Clusters) != 0 || len(account.Projects) != 1 {
				t.Errorf("there are %d clusters and %d projects", len(account.Clusters), len(account.Projects))
			}

			// Who removes the backups, too, still hears of it.
			kept, err := w.RemoveBucket(t.Context(), w.said)
			if text := strings.Join(kept, "\n"); err != nil || !strings.Contains(text, "doctl databases delete "+before.ID) || strings.Contains(text, w.config.DigitalOcean.Bucket) {
				t.Errorf("with the Space removed it keeps, with %v:\n%s", err, text)
			}

			w.config.DigitalOcean.Database = "db-s-1vcpu-1gb"
			w.mustInit(t)
			w.wantNoChange(t)
			if now := w.database(t); now.ID != before.ID || len(now.Rules) != 1 || now.Rules[0].Value != w.shop(t).ID {
				t.Errorf("after init it is %+v", now)
			}
		})
	}
}

// A database of that name in another network is somebody else's: it is neither
// touched nor does it hold the network back.
func TestDestroyLeavesADatabaseOfOthersAlone(t *testing.T) {
	w := start(t)
	initialized(t, w)
	_, _, err := w.api.Databases.Create(t.Context(), &godo.DatabaseCreateRequest{
		Name: "shop-postgres", EngineSlug: "pg", Version: "17", Region: "fra1", SizeSlug: "db-s-1vcpu-1gb", NumNodes: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.Destroy(t.Context(), w.said)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	if text := strings.Join(kept, "\n"); strings.Contains(text, "PostgreSQL") {
		t.Errorf("it says that it keeps\n%s", text)
	}
	if rules := w.database(t).Rules; len(rules) > 0 {
		t.Errorf("it gave the database a firewall: %+v", rules)
	}
	w.wantGone(t)
}
