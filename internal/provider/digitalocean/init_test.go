package digitalocean

import (
	"context"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/config"
	"berth/internal/fakedo/fake"
	"berth/internal/provider"
	"berth/internal/provider/digitalocean/scope"
)

func TestAPlanThatWouldReplaceTheClusterIsRefused(t *testing.T) {
	w := start(t)
	initialized(t, w)
	id := w.shop(t).ID
	// The Space stays where it is; the cluster cannot.
	w.config.DigitalOcean.Region = "ams3"
	plan, err := w.Plan(t.Context(), w.said)
	if err == nil {
		if !strings.Contains(plan.Refused, "replace the Kubernetes cluster, because of region: fra1 -> ams3") {
			t.Errorf("the plan is refused for %q", plan.Refused)
		}
		err = w.Init(t.Context(), w.said)
	}
	wantError(t, err, "nothing was changed", "take the change back")
	if w.shop(t).ID != id {
		t.Error("the cluster was replaced all the same")
	}
}

// Everything that can be asked for, and back.
func TestDomainRegistryAndDatabase(t *testing.T) {
	w := start(t)
	d := &w.config.DigitalOcean
	d.Domain, d.Registry, d.ContainerRegistry, d.Database = "example.com", "", "shop-images", "db-s-1vcpu-1gb"
	d.MaxNodes = 4
	w.config.Environments["preview"] = config.Environment{Hosts: []string{"preview.example.org"}, Database: config.NoDatabase}
	w.mustInit(t)

	if !strings.Contains(w.said.String(), "the managed PostgreSQL is at ") {
		t.Error("it does not say where the database is")
	}
	const delegation = "example.com resolves only once it is delegated: enter ns1.digitalocean.com, ns2"
	if strings.Count(w.said.String(), delegation) != 1 {
		t.Errorf("it does not say once what the registrar must be told:\n%s", w.said)
	}
	account := w.account(t)
	if len(account.Domains) != 1 || len(account.Registries) != 1 || len(account.Databases) != 1 {
		t.Fatalf("there are %d domains, %d registries, %d databases", len(account.Domains), len(account.Registries), len(account.Databases))
	}
	if pool := w.shop(t).NodePools[0]; !pool.AutoScale || pool.MinNodes != 2 || pool.MaxNodes != 4 {
		t.Errorf("the pool is %+v, want one that grows from 2 to 4", pool)
	}
	plan := w.wantNoChange(t)
	if want := 2*24 + 15 + 5 + 5 + 15.15; plan.Monthly() != want {
		t.Errorf("it costs %.2f, want %.2f", plan.Monthly(), want)
	}

	// The records follow once the load balancer has an address, and stay.
	w.makeOrphans(t, w.shop(t).ID)
	if err := w.MakeRecords(t.Context(), w.said); err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	records, _, err := w.api.Domains.RecordsByType(t.Context(), "example.com", "A", nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, record := range records {
		names = append(names, record.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"@", "staging"}) { // www.example.net is another domain's
		t.Errorf("there are records for %q", names)
	}
	w.wantNoChange(t)

	if err := w.Scale(t.Context(), provider.Scale{Nodes: 9}, w.said); err == nil {
		t.Error("it was scaled beyond maxNodes")
	}
	kept, err := w.Destroy(t.Context(), w.said)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	if text := strings.Join(kept, "\n"); !strings.Contains(text, "container registry shop-images") || !strings.Contains(text, "Space") || !strings.Contains(text, "PostgreSQL shop-postgres") {
		t.Errorf("it keeps %q", kept)
	}
	account = w.account(t)
	if len(account.Databases) != 1 || len(account.Domains) != 0 || len(account.Registries) != 1 {
		t.Errorf("there are %d databases, %d domains, %d registries", len(account.Databases), len(account.Domains), len(account.Registries))
	}
	// What was kept is taken over again.
	w.mustInit(t)
	w.wantNoChange(t)
}

func TestADomainThatWasThereStays(t *testing.T) {
	w := start(t)
	w.config.DigitalOcean.Domain = "example.com"
	if _, _, err := w.api.Domains.Create(t.Context(), &godo.DomainCreateRequest{Name: "example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.api.Domains.CreateRecord(t.Context(), "example.com", &godo.DomainRecordEditRequest{Type: "A", Name: "staging", Data: "192.0.2.7", TTL: 60}); err != nil {
		t.Fatal(err)
	}
	w.mustInit(t)
	if strings.Contains(w.said.String(), "registrar") {
		t.Error("a domain that was there is delegated")
	}
	w.makeOrphans(t, w.shop(t).ID)
	// A host that somebody uses is not taken away from them.
	wantError(t, w.MakeRecords(t.Context(), w.said), "staging.example.com has a DNS record already, which says 192.0.2.7", "remove that record")

	kept, err := w.Destroy(t.Context(), w.said)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(kept, "\n"), "domain example.com, which was there before") || len(w.account(t).Domains) != 1 {
		t.Errorf("it keeps %q", kept)
	}
}

func TestWhatATimeOutLeftIsTakenOver(t *testing.T) {
	w := start(t)
	// As long as there is no cluster, it is tried first whether each may be made.
	tries := 1
	for _, paths := range [][]string{{"/v2/vpcs", "/v2/spaces/keys"}, {"/v2/kubernetes/clusters"}, {"/v2/projects"}} {
		if paths[0] == "/v2/projects" {
			tries = 0
		}
		for _, path := range paths {
			w.do.Inject(fake.Fault{Method: http.MethodPost, Path: path, After: tries, LoseAnswer: true})
		}
		err := w.Init(t.Context(), w.said)
		w.do.Release()
		if err == nil {
			t.Errorf("%s: the lost answer did not show", paths)
		}
	}
	w.mustInit(t)
	w.wantOne(t, "s-2vcpu-4gb", 2)
}

// Before anything is made all missing scopes are named.
func TestScopesThatLackAreNamedByInit(t *testing.T) {
	w := start(t)
	for _, one := range []string{"kubernetes:create", "spaces_key:create_credentials", "kubernetes:update"} {
		w.do.LackScope(secretToken, one)
	}
	err := w.Init(t.Context(), w.said)
	wantError(t, err, "the token is missing the scopes kubernetes:create, spaces_key:create_credentials: nothing was made", "docs/digitalocean.md")
	// Of what is not there nobody knows why it was refused.
	if !strings.Contains(w.said.String(), "the token may be missing kubernetes:update") {
		t.Errorf("it says\n%s", w.said)
	}
	account := w.account(t)
	if len(account.Clusters)+len(account.VPCs)+len(account.Buckets) > 0 || len(account.SpacesKeys) != 1 || len(account.Projects) != 1 {
		t.Errorf("there is something in the account: %+v", account)
	}
}

// A token with the scopes that docs/digitalocean.md lists, and none besides, is
// enough for everything.
func TestTheDocumentedScopesAreEnough(t *testing.T) {
	w := start(t)
	d := &w.config.DigitalOcean
	d.Domain, d.Registry, d.ContainerRegistry, d.Database = "example.com", "", "shop-images", "db-s-1vcpu-1gb"
	w.config.Environments["preview"] = config.Environment{Hosts: []string{"preview.example.com"}, Database: config.NoDatabase}
	w.do.Grant(secretToken, scope.For(purposes(w.config)...)...)
	if checks := w.remedies(t); checks["scopes of the token"] != "" {
		t.Errorf("doctor says %s", checks["scopes of the token"])
	}
	w.mustInit(t)
	w.kube.deploy()
	w.byOthers(t, func() { w.makeOrphans(t, w.shop(t).ID) })
	if err := w.MakeRecords(t.Context(), w.said); err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	for _, scale := range []provider.Scale{{Nodes: 3}, {Nodes: 2}, {Size: "s-4vcpu-8gb"}} {
		if err := w.Scale(t.Context(), scale, w.said); err != nil {
			t.Fatalf("%v\n%s", err, w.said)
		}
	}
	w.do.Grant(secretToken, scope.For(scope.Deploy)...)
	if _, err := w.Cluster(t.Context()); err != nil {
		t.Errorf("with the scopes of a deploy: %v", err)
	}
	w.do.Grant(secretToken, scope.For(purposes(w.config)...)...)
	if _, err := w.Destroy(t.Context(), w.said); err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
}

// Without a scope of its own no tag can be seen, and nobody's cluster told from
// another's.
func TestATokenThatSeesNoTags(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.do.Grant(secretToken, "kubernetes:read", "kubernetes:access_cluster")
	_, err := w.Cluster(t.Context())
	wantError(t, err, "the token is missing the scope tag:read: the tags of the Kubernetes cluster shop cannot be seen", "add it to the token")

	// None is made that could not be told either.
	w = start(t)
	w.do.LackScope(secretToken, scope.SeeTags)
	wantError(t, w.Init(t.Context(), w.said), "the token is missing the scope tag:read: nothing was made", "docs/digitalocean.md")
}

// byOthers does something with a token of somebody else's.
func (w *world) byOthers(t *testing.T, work func()) {
	t.Helper()
	c := *w.config
	c.DotEnv = maps.Clone(c.DotEnv)
	c.DotEnv[config.DigitalOceanToken] = "dop_v1_others"
	others, err := newAPI(&c)
	if err != nil {
		t.Fatal(err)
	}
	own := w.api
	w.api = others
	defer func() { w.api = own }()
	work()
}

func TestInitNeedsTheKeysOfSpaces(t *testing.T) {
	w := start(t)
	delete(w.config.DotEnv, config.SpacesSecretKey)
	wantError(t, w.Init(t.Context(), w.said), "no keys for Spaces", "SPACES_SECRET_ACCESS_KEY")
}

func TestOnlyOneCommandAtATime(t *testing.T) {
	w := start(t)
	unlock, err := w.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	wantError(t, w.Init(t.Context(), w.said), "another berth is changing cluster shop", "wait")
}

func TestAnInterruptEndsCleanly(t *testing.T) {
	w := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.gate.arm(2, cancel)
	err := w.Init(ctx, w.said)
	w.gate.arm(0, nil)
	if err == nil || ctx.Err() == nil {
		t.Fatalf("the interrupt did not show: %v", err)
	}
	w.mustInit(t)
	w.wantOne(t, "s-2vcpu-4gb", 2)
}

// The secrets of everybody: in no report, no argument of a process, and no file
// that others may read.
func TestSecretsStaySecret(t *testing.T) {
	w := start(t)
	var arguments atomic.Pointer[string]
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		var seen strings.Builder
		for watching.Err() == nil {
			paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, path := range paths {
				if text, err := os.ReadFile(path); err == nil && (strings.Contains(string(text), "terraform") || strings.Contains(string(text), "tofu")) {
					seen.Write(text)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		text := seen.String()
		arguments.Store(&text)
	}()
	plan, err := w.Plan(t.Context(), w.said)
	if err != nil {
		t.Fatal(err)
	}
	w.mustInit(t)
	w.changePool(t, 4)
	w.mustInit(t)
	stop()
	<-watched
	if !strings.Contains(*arguments.Load(), "apply") {
		t.Fatal("Terraform was not seen at work")
	}
	secrets := map[string]string{
		"the token": secretToken, "the operator's key": w.config.DotEnv[config.SpacesSecretKey],
		"the cluster's token": "kube-secret-token", "the Space's key": w.kube.secrets[keySecret]["secretKey"],
	}
	for what, secret := range secrets {
		for where, text := range map[string]string{"the report": w.said.String(), "the arguments": *arguments.Load(), "the plan": planText(plan)} {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
	err = filepath.WalkDir(w.folder(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || strings.Contains(path, "/.terraform") {
			return err // the plugin is no secret
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others reach %s: %v", path, info.Mode())
		}
		if strings.HasSuffix(path, ".tfplan") {
			t.Errorf("%s is left, which holds secrets", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func planText(plan *provider.Plan) string {
	var text strings.Builder
	for _, change := range plan.Changes {
		text.WriteString(change.String() + "\n")
	}
	return text.String() + strings.Join(plan.Notes, "\n")
}
