package fake_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"berth/internal/fakedo/fake"
	"berth/internal/provider/digitalocean/scope"
)

// documented is what the API's document says of one request.
type documented struct {
	success int
	errors  []int
}

// document reads testdata/statuses.tsv, by method and path.
func document(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("testdata/statuses.tsv")
	if err != nil {
		t.Fatal(err)
	}
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	all := map[string]documented{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		d := documented{success: number(fields[2])}
		for _, status := range strings.Fields(fields[3]) {
			d.errors = append(d.errors, number(status))
		}
		all[fields[1]+" "+fields[0]] = d
	}
	return all
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// The fake has no request that the document does not have, and the other way round for
// what is noted of it here.
func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	f, err := fake.New(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nameless := func(routes []string) (all []string) {
		for _, route := range routes {
			all = append(all, placeholder.ReplaceAllString(route, "{}"))
		}
		slices.Sort(all)
		return all
	}
	var noted []string
	for route := range document(t) {
		noted = append(noted, route)
		method, path, _ := strings.Cut(route, " ")
		if len(scope.Of(method, path)) == 0 {
			t.Errorf("which scopes %s needs is not known", route)
		}
	}
	routes, noted := nameless(f.Routes()), nameless(noted)
	for _, route := range routes {
		if !slices.Contains(noted, route) {
			t.Errorf("the document has no %s", route)
		}
	}
	for _, route := range noted {
		if !slices.Contains(routes, route) {
			t.Errorf("the fake has no %s", route)
		}
	}
}

// asked is a request of one that the document has. Its placeholders stand for what came
// before: take names what of the answer is kept for which of them.
type asked struct {
	route, body, take string
}

// life is all requests of the document, in an order in which each succeeds.
var life = []asked{
	{route: "GET /v2/account"},
	{route: "GET /v2/regions"},
	{route: "GET /v2/sizes"},
	{route: "GET /v2/kubernetes/options"},

	{route: "POST /v2/vpcs", body: `{"name": "first", "region": "fra1"}`, take: "vpc_id=vpc.id"},
	{route: "GET /v2/vpcs"},
	{route: "GET /v2/vpcs/{vpc_id}"},
	{route: "PUT /v2/vpcs/{vpc_id}", body: `{"name": "second"}`},
	{route: "PATCH /v2/vpcs/{vpc_id}", body: `{"name": "third"}`},
	{route: "GET /v2/vpcs/{vpc_id}/members"},
	{route: "DELETE /v2/vpcs/{vpc_id}"},

	{route: "POST /v2/kubernetes/clusters", take: "cluster_id=kubernetes_cluster.id",
		body: `{"name": "one", "region": "fra1", "version": "1.36.1-do.1", "node_pools": [{"name": "first", "size": "s-2vcpu-4gb", "count": 1}]}`},
	{route: "GET /v2/kubernetes/clusters"},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}"},
	{route: "PUT /v2/kubernetes/clusters/{cluster_id}", body: `{"name": "one"}`},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}/kubeconfig"},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}/credentials"},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}/user"},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}/upgrades"},
	{route: "POST /v2/kubernetes/clusters/{cluster_id}/upgrade", body: `{"version": "1.36.2-do.0"}`},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}/node_pools"},
	{route: "POST /v2/kubernetes/clusters/{cluster_id}/node_pools", body: `{"name": "second", "size": "s-2vcpu-4gb", "count": 3}`, take: "node_pool_id=node_pool.id node_id=node_pool.nodes.0.id"},
	{route: "GET /v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}"},
	{route: "PUT /v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}", body: `{"count": 2}`, take: "node_id=node_pool.nodes.0.id"},
	{route: "POST /v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}/recycle", body: `{"nodes": []}`},
	{route: "DELETE /v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}/nodes/{node_id}"},
	{route: "DELETE /v2/kubernetes/clusters/{cluster_id}/node_pools/{node_pool_id}"},

	{route: "POST /v2/registries", body: `{"name": "mine", "subscription_tier_slug": "basic", "region": "fra1"}`, take: "registry_name=registry.name"},
	{route: "GET /v2/registries"},
	{route: "GET /v2/registries/{registry_name}"},
	{route: "GET /v2/registries/{registry_name}/docker-credentials"},
	{route: "GET /v2/registries/subscription"},
	{route: "POST /v2/registries/subscription", body: `{"tier_slug": "professional"}`},
	{route: "POST /v2/kubernetes/registry", body: `{"cluster_uuids": []}`},
	{route: "DELETE /v2/kubernetes/registry", body: `{"cluster_uuids": []}`},
	{route: "DELETE /v2/registries/{registry_name}"},
	{route: "POST /v2/registry", body: `{"name": "mine", "subscription_tier_slug": "basic"}`},
	{route: "GET /v2/registry"},
	{route: "GET /v2/registry/docker-credentials"},
	{route: "GET /v2/registry/subscription"},
	{route: "POST /v2/registry/subscription", body: `{"tier_slug": "professional"}`},
	{route: "DELETE /v2/registry"},

	{route: "POST /v2/projects", body: `{"name": "berth", "purpose": "Web Application"}`, take: "project_id=project.id"},
	{route: "GET /v2/projects"},
	{route: "GET /v2/projects/{project_id}"},
	{route: "PUT /v2/projects/{project_id}", body: `{"name": "berth", "description": "", "purpose": "Web Application", "environment": "", "is_default": false}`},
	{route: "PATCH /v2/projects/{project_id}", body: `{"description": "another"}`},
	{route: "POST /v2/projects/{project_id}/resources", body: `{"resources": []}`},
	{route: "GET /v2/projects/{project_id}/resources"},
	{route: "DELETE /v2/projects/{project_id}"},

	{route: "POST /v2/domains", body: `{"name": "example.com"}`, take: "domain_name=domain.name"},
	{route: "GET /v2/domains"},
	{route: "GET /v2/domains/{domain_name}"},
	{route: "POST /v2/domains/{domain_name}/records", body: `{"type": "A", "name": "www", "data": "203.0.113.1"}`, take: "domain_record_id=domain_record.id"},
	{route: "GET /v2/domains/{domain_name}/records"},
	{route: "GET /v2/domains/{domain_name}/records/{domain_record_id}"},
	{route: "PUT /v2/domains/{domain_name}/records/{domain_record_id}", body: `{"type": "A", "data": "203.0.113.2"}`},
	{route: "PATCH /v2/domains/{domain_name}/records/{domain_record_id}", body: `{"type": "A", "data": "203.0.113.3"}`},
	{route: "DELETE /v2/domains/{domain_name}/records/{domain_record_id}"},
	{route: "DELETE /v2/domains/{domain_name}"},

	{route: "POST /v2/databases", body: `{"name": "one", "engine": "pg", "version": "17", "region": "fra1", "size": "db-s-1vcpu-1gb", "num_nodes": 1}`, take: "database_cluster_uuid=database.id"},
	{route: "GET /v2/databases"},
	{route: "GET /v2/databases/{database_cluster_uuid}"},
	{route: "GET /v2/databases/{database_cluster_uuid}/ca"},
	{route: "PUT /v2/databases/{database_cluster_uuid}/resize", body: `{"size": "db-s-2vcpu-4gb", "num_nodes": 1}`},
	{route: "PUT /v2/databases/{database_cluster_uuid}/upgrade", body: `{"version": "18"}`},
	{route: "PUT /v2/databases/{database_cluster_uuid}/maintenance", body: `{"day": "tuesday", "hour": "14:00"}`},
	{route: "PUT /v2/databases/{database_cluster_uuid}/firewall", body: `{"rules": [{"type": "ip_addr", "value": "203.0.113.1"}]}`},
	{route: "GET /v2/databases/{database_cluster_uuid}/firewall"},
	{route: "POST /v2/databases/{database_cluster_uuid}/dbs", body: `{"name": "alpha"}`, take: "database_name=db.name"},
	{route: "GET /v2/databases/{database_cluster_uuid}/dbs"},
	{route: "GET /v2/databases/{database_cluster_uuid}/dbs/{database_name}"},
	{route: "DELETE /v2/databases/{database_cluster_uuid}/dbs/{database_name}"},
	{route: "DELETE /v2/databases/{database_cluster_uuid}"},

	{route: "POST /v2/load_balancers", body: `{"name": "one", "region": "fra1", "forwarding_rules": [{"entry_protocol": "tcp", "entry_port": 443, "target_protocol": "tcp", "target_port": 443}]}`, take: "lb_id=load_balancer.id"},
	{route: "GET /v2/load_balancers"},
	{route: "GET /v2/load_balancers/{lb_id}"},
	{route: "DELETE /v2/load_balancers/{lb_id}"},

	{route: "POST /v2/volumes", body: `{"name": "one", "region": "fra1", "size_gigabytes": 1}`, take: "volume_id=volume.id"},
	{route: "GET /v2/volumes"},
	{route: "GET /v2/volumes/{volume_id}"},
	{route: "POST /v2/volumes/{volume_id}/snapshots", body: `{"name": "one"}`, take: "snapshot_id=snapshot.id"},
	{route: "GET /v2/volumes/{volume_id}/snapshots"},
	{route: "GET /v2/snapshots"},
	{route: "GET /v2/snapshots/{snapshot_id}"},
	{route: "POST /v2/tags", body: `{"name": "mine"}`, take: "tag_id=tag.name"},
	{route: "GET /v2/tags"},
	{route: "GET /v2/tags/{tag_id}"},
	{route: "POST /v2/tags/{tag_id}/resources", body: `{"resources": []}`},
	{route: "DELETE /v2/tags/{tag_id}/resources", body: `{"resources": []}`},
	{route: "DELETE /v2/tags/{tag_id}"},
	{route: "DELETE /v2/snapshots/{snapshot_id}"},
	{route: "DELETE /v2/volumes/{volume_id}"},

	{route: "POST /v2/spaces/keys", body: `{"name": "one", "grants": []}`, take: "access_key=key.access_key"},
	{route: "GET /v2/spaces/keys"},
	{route: "GET /v2/spaces/keys/{access_key}"},
	{route: "PUT /v2/spaces/keys/{access_key}", body: `{"name": "two", "grants": []}`},
	{route: "PATCH /v2/spaces/keys/{access_key}", body: `{"name": "three", "grants": []}`},
	{route: "DELETE /v2/spaces/keys/{access_key}"},

	{route: "GET /v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources"},
	{route: "DELETE /v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources/selective", body: `{}`},
	{route: "POST /v2/kubernetes/clusters", take: "cluster_id=kubernetes_cluster.id",
		body: `{"name": "two", "region": "fra1", "version": "latest", "node_pools": [{"name": "first", "size": "s-2vcpu-4gb", "count": 1}]}`},
	{route: "DELETE /v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources/dangerous"},
	{route: "POST /v2/kubernetes/clusters", take: "cluster_id=kubernetes_cluster.id",
		body: `{"name": "three", "region": "fra1", "version": "latest", "node_pools": [{"name": "first", "size": "s-2vcpu-4gb", "count": 1}]}`},
	{route: "DELETE /v2/kubernetes/clusters/{cluster_id}"},
	{route: "GET /v2/actions"},
}

// What succeeds is answered as the document says, and so is what cannot: without a token,
// without any one of the scopes, and of what is not there.
func TestAnswersAreThoseOfTheDocument(t *testing.T) {
	server, all := fake.Start(t, fake.Options{}), document(t)
	seen, ids := map[string]bool{}, map[string]string{}
	for _, one := range life {
		seen[one.route] = true
		want, known := all[one.route]
		if !known {
			t.Fatalf("the document has no %s", one.route)
		}
		path := func(name func(string) string) (method, path string) {
			method, path, _ = strings.Cut(one.route, " ")
			return method, placeholder.ReplaceAllStringFunc(path, func(p string) string { return name(strings.Trim(p, "{}")) })
		}
		method, good := path(func(name string) string { return ids[name] })
		if status, _ := send(t, method, server.URL+good, "", one.body); status != http.StatusUnauthorized || !slices.Contains(want.errors, status) {
			t.Errorf("%s without a token is answered %d", one.route, status)
		}
		for _, needed := range scope.Of(method, good) {
			token := "without " + needed
			server.LackScope(token, needed)
			if status, _ := send(t, method, server.URL+good, token, one.body); status != http.StatusForbidden {
				t.Errorf("%s without %s is answered %d", one.route, needed, status)
			}
		}
		if _, nowhere := path(func(string) string { return "0" }); nowhere != good && slices.Contains(want.errors, http.StatusNotFound) {
			if status, _ := send(t, method, server.URL+nowhere, "token", one.body); status != http.StatusNotFound {
				t.Errorf("%s of nothing is answered %d", one.route, status)
			}
		}
		if one.body != "" {
			if status, answer := send(t, method, server.URL+good, "token", scope.Body); status != http.StatusBadRequest {
				t.Errorf("%s of no JSON is answered %d: %s", one.route, status, answer)
			}
		}
		status, answer := send(t, method, server.URL+good, "token", one.body)
		if status != want.success {
			t.Fatalf("%s is answered %d, want %d: %s", one.route, status, want.success, answer)
		}
		if empty := status == http.StatusNoContent || status == http.StatusAccepted && one.take == "" && method != http.MethodPut; empty && answer != "" {
			t.Errorf("%s is answered %d with %s", one.route, status, answer)
		}
		for take := range strings.FieldsSeq(one.take) {
			name, from, _ := strings.Cut(take, "=")
			ids[name] = within(t, answer, from)
		}
	}
	for route := range all {
		if !seen[route] {
			t.Errorf("%s is not tried", route)
		}
	}
}

// What a body cannot say is answered by one of the errors of the document, or by 409, 412
// or 422, which it calls unexpected.
func TestRefusalsAreThoseOfTheDocument(t *testing.T) {
	server, all := fake.Start(t, fake.Options{}), document(t)
	for _, one := range life {
		method, path, _ := strings.Cut(one.route, " ")
		if method != http.MethodPost || strings.Contains(path, "{") {
			continue
		}
		status, answer := send(t, method, server.URL+path, "token", `{"grants": [{"permission": "all"}]}`)
		switch {
		case slices.Contains(all[one.route].errors, http.StatusBadRequest):
			if status != http.StatusBadRequest {
				t.Errorf("%s of nothing is answered %d, not 400: %s", one.route, status, answer)
			}
		case status != http.StatusConflict && status != http.StatusPreconditionFailed && status != http.StatusUnprocessableEntity:
			t.Errorf("%s of nothing is answered %d: %s", one.route, status, answer)
		}
	}
}

func send(t *testing.T, method, url, token, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// within returns what an answer has at a place: "node_pool.nodes.0.id".
func within(t *testing.T, answer, place string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(answer), &value); err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(place, ".") {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[part]
		case []any:
			n, err := strconv.Atoi(part)
			if err != nil || n >= len(inner) {
				t.Fatalf("%s has no %s", answer, place)
			}
			value = inner[n]
		}
	}
	switch value := value.(type) {
	case string:
		return value
	case float64:
		return strconv.Itoa(int(value))
	}
	t.Fatalf("%s has no %s", answer, place)
	return ""
}
