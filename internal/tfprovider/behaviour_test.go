package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"berth/internal/fakedo/fake"
)

// bare is a cluster without berth's precautions.
func bare(version, size, more string) map[string]string {
	return map[string]string{"main.tf": fmt.Sprintf(`
terraform {
  required_providers {
    digitalocean = {
      source  = "digitalocean/digitalocean"
      version = "2.99.1"
    }
  }
}

resource "digitalocean_kubernetes_cluster" "main" {
  name    = "bare"
  region  = "fra1"
  version = %q

  node_pool {
    name       = "first"
    size       = %q
    node_count = 1
  }

  %s
}
`, version, size, more)}
}

func (s *stage) rewrite(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		if err := os.WriteFile(s.folder+"/"+name, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// The schema that Terraform prints of the fake is the one that it printed of
// the real plugin, attribute by attribute.
func TestSchemaIsTheRealOne(t *testing.T) {
	s := newStage(t, fake.Options{}, bare("1.36.2-do.0", "s-2vcpu-4gb", ""))
	printed, err := s.ProvidersSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(printed.Schemas) != 1 {
		t.Fatalf("there are %d plugins", len(printed.Schemas))
	}
	text, err := os.ReadFile("plugin/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range printed.Schemas {
		encoded, err := json.Marshal(plugin)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(encoded, &got); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"provider", "resource_schemas", "data_source_schemas"} {
			if difference := cmp.Diff(want[part], got[part]); difference != "" {
				t.Errorf("%s differs (- real, + fake):\n%s", part, difference)
			}
		}
	}
}

func TestWhatReplacesACluster(t *testing.T) {
	s := newStage(t, fake.Options{}, bare("1.36.1-do.1", "s-2vcpu-4gb", ""))
	s.apply()
	s.wantNoChange()
	for name, test := range map[string]struct {
		files map[string]string
		want  map[string]string
	}{
		"another size":     {bare("1.36.1-do.1", "s-4vcpu-8gb", ""), map[string]string{clusterAddress: "delete create"}},
		"a lower version":  {bare("1.35.6-do.0", "s-2vcpu-4gb", ""), map[string]string{clusterAddress: "delete create"}},
		"a higher version": {bare("1.36.2-do.0", "s-2vcpu-4gb", ""), map[string]string{clusterAddress: "update"}},
		"another network":  {bare("1.36.1-do.1", "s-2vcpu-4gb", `vpc_uuid = "another"`), map[string]string{clusterAddress: "delete create"}},
		"no surge upgrade": {bare("1.36.1-do.1", "s-2vcpu-4gb", `surge_upgrade = false`), map[string]string{clusterAddress: "update"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.rewrite(test.files)
			s.wantPlan(test.want)
		})
	}
}

// A cluster that takes longer than Terraform waits for it is nowhere in the
// state. The next run fails for its name, and an import fixes it.
func TestTimeoutLosesTheCluster(t *testing.T) {
	// The cluster takes until the clock is put forward.
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	s := newStage(t, fake.Options{Delay: time.Hour, Now: now}, bare("1.36.2-do.0", "s-2vcpu-4gb", "timeouts {\n    create = \"200ms\"\n  }"))
	failed(t, s.Apply(t.Context()), "Timeout waiting to create cluster")
	state, err := s.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Values != nil && len(state.Values.RootModule.Resources) > 0 {
		t.Errorf("the state holds %+v", state.Values.RootModule.Resources)
	}
	clusters := s.account().Clusters
	if len(clusters) != 1 {
		t.Fatalf("there are %d clusters", len(clusters))
	}
	failed(t, s.Apply(t.Context()), "422", "already exists")

	later.Store(int64(2 * time.Hour))
	// Import finds the default pool by its tag, and puts it there where there
	// is one pool alone.
	if err := s.fake.Change(func(a *fake.Account) { a.Clusters[0].NodePools[0].Tags = nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(t.Context(), clusterAddress, clusters[0].ID); err != nil {
		t.Fatal(err)
	}
	s.wantPlan(map[string]string{clusterAddress: "update"})
	s.apply()
	s.wantNoChange()
	if got := s.account().Clusters; len(got) != 1 || got[0].ID != clusters[0].ID {
		t.Errorf("the clusters are %+v", got)
	}
}

func TestAssociatedResourcesGoByTheState(t *testing.T) {
	s := newStage(t, fake.Options{}, bare("1.36.2-do.0", "s-2vcpu-4gb", ""))
	volume := func() {
		t.Helper()
		tag := "k8s:" + s.account().Clusters[0].ID
		if _, _, err := s.api.Storage.CreateVolume(t.Context(), &godo.VolumeCreateRequest{Name: "pvc", Region: "fra1", SizeGigaBytes: 1, Tags: []string{tag}}); err != nil {
			t.Fatal(err)
		}
	}
	s.apply()
	volume()
	// Written down, but never applied.
	s.rewrite(bare("1.36.2-do.0", "s-2vcpu-4gb", "destroy_all_associated_resources = true"))
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if volumes := s.account().Volumes; len(volumes) != 1 {
		t.Fatalf("the volumes are %v", volumes)
	}
	if err := s.fake.Change(func(a *fake.Account) { a.Volumes = nil }); err != nil {
		t.Fatal(err)
	}

	s.apply()
	volume()
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if volumes := s.account().Volumes; len(volumes) != 0 {
		t.Errorf("the volumes are %v", volumes)
	}
}

func TestBusyAPIIsAskedAgain(t *testing.T) {
	s := newStage(t, fake.Options{}, bare("1.36.2-do.0", "s-2vcpu-4gb", ""))
	s.fake.Inject(
		fake.Fault{Method: http.MethodPost, Path: "/v2/kubernetes/clusters", Status: http.StatusTooManyRequests, RetryAfter: time.Second},
		fake.Fault{Method: http.MethodGet, Path: "/v2/kubernetes/clusters/*", Status: http.StatusBadGateway},
	)
	s.apply()
	s.wantNoChange()
}

func TestTokenWithoutRights(t *testing.T) {
	s := newStage(t, fake.Options{}, bare("1.36.2-do.0", "s-2vcpu-4gb", ""))
	s.fake.LackScope(token, "kubernetes:create")
	failed(t, s.Apply(t.Context()), "Error creating Kubernetes cluster", "403", "You are not authorized to perform this operation")
}

// Everything but what the real plugin cannot import comes back into an empty
// state, and then nothing would be made a second time.
func TestImports(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	s.variables(everything...)
	s.apply()
	account := s.account()
	var record string
	for _, one := range account.Domains[0].Records {
		if one.Name == "staging" {
			record = fmt.Sprintf("example.com,%d", one.ID)
		}
	}
	database := account.Databases[0].ID
	for address, id := range map[string]string{
		clusterAddress: account.Clusters[0].ID, "digitalocean_vpc.main": account.VPCs[0].ID, "digitalocean_project.main": account.Projects[1].ID,
		"digitalocean_spaces_bucket.main": "nyc3," + account.Buckets[0].Name, "digitalocean_domain.main[0]": "example.com",
		`digitalocean_record.host["staging.example.com"]`: record, "digitalocean_container_registry.main[0]": "berth",
		"digitalocean_database_cluster.main[0]": database, `digitalocean_database_db.environment["production"]`: database + ",production",
		"digitalocean_database_firewall.main[0]": database,
	} {
		if err := s.StateRm(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		if err := s.Import(t.Context(), address, id); err != nil {
			t.Fatalf("import %s: %v", address, err)
		}
	}
	for address, change := range s.plan() {
		if change != "update" {
			t.Errorf("after the imports %s would %s", address, change)
		}
	}
	s.apply()
	s.wantNoChange()
	failed(t, s.Import(t.Context(), "digitalocean_spaces_key.main", account.SpacesKeys[1].AccessKey), "")
}
