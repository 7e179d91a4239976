package fake_test

import (
	"net/http"
	"testing"

	"github.com/digitalocean/godo"

	"berth/internal/fakedo/fake"
)

// A token with custom scopes does what they let it, and sees what they let it.
func TestCustomScopes(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	ctx := t.Context()
	all := client(t, server.URL, "all")
	request := clusterRequest("")
	request.Tags = []string{"berth"}
	cluster := must[*godo.KubernetesCluster](t)(all.Kubernetes.Create(ctx, request))
	database := must[*godo.Database](t)(all.Databases.Create(ctx, &godo.DatabaseCreateRequest{
		Name: "berth-postgres", EngineSlug: "pg", Version: "18", Region: "fra1", SizeSlug: "db-s-1vcpu-1gb", NumNodes: 1,
	}))

	server.Grant("some", "kubernetes:read", "database:read")
	some := client(t, server.URL, "some")
	if seen := must[*godo.KubernetesCluster](t)(some.Kubernetes.Get(ctx, cluster.ID)); len(seen.Tags)+len(seen.NodePools[0].Tags) > 0 || seen.Name != "berth" {
		t.Errorf("without tag:read it sees %+v", seen)
	}
	if seen := must[*godo.Database](t)(some.Databases.Get(ctx, database.ID)); seen.Connection.Password != "" || seen.Connection.URI != "" || seen.Connection.Host == "" {
		t.Errorf("without database:view_credentials it sees %+v", seen.Connection)
	}
	_, err := some.Kubernetes.DeleteNodePool(ctx, cluster.ID, cluster.NodePools[0].ID)
	wantStatus(t, err, http.StatusForbidden)

	// A node pool is the cluster's, whatever is done to it.
	server.Grant("some", "kubernetes:read", "kubernetes:update")
	must[*godo.KubernetesNodePool](t)(some.Kubernetes.CreateNodePool(ctx, cluster.ID, &godo.KubernetesNodePoolCreateRequest{Name: "second", Size: "s-2vcpu-4gb", Count: 1}))
	if _, err := some.Kubernetes.DeleteNodePool(ctx, cluster.ID, cluster.NodePools[0].ID); err != nil {
		t.Error(err)
	}
	_, err = some.Kubernetes.Delete(ctx, cluster.ID)
	wantStatus(t, err, http.StatusForbidden)
}

// Where there are several registries, a path that names none means none.
func TestSeveralRegistries(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	for _, name := range []string{"one", "two"} {
		must[*godo.Registry](t)(api.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: name, SubscriptionTierSlug: "professional"}))
	}
	_, _, err := api.Registry.Get(ctx)
	wantStatus(t, err, http.StatusPreconditionFailed)
	if two := must[*godo.Registry](t)(api.Registries.Get(ctx, "two")); two.Name != "two" {
		t.Errorf("got %+v", two)
	}
}
