package scope

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v2/kubernetes/clusters", "kubernetes:read"},
		{"POST", "/v2/kubernetes/clusters", "kubernetes:create"},
		{"GET", "/v2/kubernetes/clusters/1/kubeconfig", "kubernetes:access_cluster"},
		// Nodes are a cluster's, whatever is done to them.
		{"POST", "/v2/kubernetes/clusters/1/node_pools", "kubernetes:update"},
		{"DELETE", "/v2/kubernetes/clusters/1/node_pools/2", "kubernetes:update"},
		{"DELETE", "/v2/kubernetes/clusters/1/node_pools/2/nodes/3", "kubernetes:update"},
		{"DELETE", "/v2/load_balancers/1", "load_balancer:delete"},
		{"GET", "/v2/volumes", "block_storage:read"},
		{"POST", "/v2/spaces/keys", "spaces_key:create_credentials"},
		{"POST", "/v2/projects/1/resources", "project:assign_resource"},
		{"POST", "/v2/domains/example.com/records", "domain:create domain:update"},
		{"GET", "/v2/sizes", "sizes:read regions:read"},
		{"GET", "/v2/registries/subscription", "registry:read"},
		{"GET", "/v2/elsewhere", ""},
	} {
		if got := strings.Join(Of(c.method, c.path), " "); got != c.want {
			t.Errorf("%s %s needs %q, not %q", c.method, c.path, c.want, got)
		}
	}
}

// What a stranger is told to give a token is what the table says.
func TestTheDocsListTheTable(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/digitalocean.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, purpose := range map[string]string{
		"every cluster": Cluster, "`domain`": Domain, "`containerRegistry`": Registry, "`database`": Database, "a deploy alone": Deploy,
	} {
		row := "| " + what + " | `" + strings.Join(For(purpose), "`, `") + "` |"
		if !strings.Contains(string(page), row+"\n") {
			t.Errorf("docs/digitalocean.md does not have the line\n%s", row)
		}
	}
}

// Nothing that is tried can make, change or remove anything.
func TestTrialsAreHarmless(t *testing.T) {
	trials := Trials(Cluster, Domain, Registry, Database)
	for _, trial := range trials {
		about := strings.Contains(trial.Path, Nobody)
		switch trial.Method {
		case http.MethodGet, http.MethodPost: // whose body is no JSON
		default:
			if !about {
				t.Errorf("%s %s is about something that may be there", trial.Method, trial.Path)
			}
		}
		if trial.Sure == about {
			t.Errorf("%s %s: sure is %v", trial.Method, trial.Path, trial.Sure)
		}
	}
	var tried []string
	for _, trial := range trials {
		tried = append(tried, trial.Scopes...)
	}
	for _, scope := range For(Cluster, Domain, Registry, Database) {
		// One shows in answers alone, and one goes with others.
		if !slices.Contains(tried, scope) && scope != SeeCredentials && scope != "spaces:read" {
			t.Errorf("%s is not tried", scope)
		}
	}
}
