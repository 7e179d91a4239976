package fake_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"berth/internal/fakedo/fake"
)

func TestProjects(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	standard := must[*godo.Project](t)(api.Projects.GetDefault(ctx))
	project := must[*godo.Project](t)(api.Projects.Create(ctx, &godo.CreateProjectRequest{Name: "berth", Purpose: "Web Application"}))
	project = must[*godo.Project](t)(api.Projects.Update(ctx, project.ID, &godo.UpdateProjectRequest{Description: "changed"}))
	if project.Name != "berth" || project.Description != "changed" {
		t.Errorf("the project is %+v", project)
	}

	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, clusterRequest("")))
	must[[]godo.ProjectResource](t)(api.Projects.AssignResources(ctx, project.ID, cluster.URN()))
	_, _, err := api.Projects.AssignResources(ctx, project.ID, "do:kubernetes:nowhere")
	wantStatus(t, err, http.StatusUnprocessableEntity)
	// What Kubernetes makes joins its cluster.
	balancer := must[*godo.LoadBalancer](t)(api.LoadBalancers.Create(ctx, &godo.LoadBalancerRequest{
		Name: "ingress", Region: "fra1", Tags: []string{"k8s:" + cluster.ID}, ForwardingRules: []godo.ForwardingRule{{EntryPort: 80}},
	}))
	resources := must[[]godo.ProjectResource](t)(api.Projects.ListResources(ctx, project.ID, nil))
	if len(resources) != 2 || resources[1].URN != balancer.URN() {
		t.Errorf("the project holds %v", resources)
	}
	_, err = api.Projects.Delete(ctx, project.ID)
	wantStatus(t, err, http.StatusPreconditionFailed)
	must[[]godo.ProjectResource](t)(api.Projects.AssignResources(ctx, standard.ID, cluster.URN(), balancer.URN()))
	if _, err := api.Projects.Delete(ctx, project.ID); err != nil {
		t.Error(err)
	}
}

func TestDomains(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	must[*godo.Domain](t)(api.Domains.Create(ctx, &godo.DomainCreateRequest{Name: "example.com"}))
	_, _, err := api.Domains.Create(ctx, &godo.DomainCreateRequest{Name: "example.com"})
	wantStatus(t, err, http.StatusUnprocessableEntity)

	record := must[*godo.DomainRecord](t)(api.Domains.CreateRecord(ctx, "example.com", &godo.DomainRecordEditRequest{Type: "A", Name: "staging", Data: "203.0.113.9", TTL: 300}))
	record = must[*godo.DomainRecord](t)(api.Domains.EditRecord(ctx, "example.com", record.ID, &godo.DomainRecordEditRequest{Data: "203.0.113.10"}))
	if record.Name != "staging" || record.Data != "203.0.113.10" || record.TTL != 300 {
		t.Errorf("the record is %+v", record)
	}
	found := must[[]godo.DomainRecord](t)(api.Domains.RecordsByTypeAndName(ctx, "example.com", "A", "staging.example.com", nil))
	if len(found) != 1 || found[0].ID != record.ID {
		t.Errorf("found by its name: %+v", found)
	}
	all := must[[]godo.DomainRecord](t)(api.Domains.Records(ctx, "example.com", nil))
	if len(all) != 4 {
		t.Errorf("there are %d records, not three of type NS and one", len(all))
	}
	if _, err := api.Domains.DeleteRecord(ctx, "example.com", record.ID); err != nil {
		t.Error(err)
	}
	_, _, err = api.Domains.Record(ctx, "example.com", record.ID)
	wantStatus(t, err, http.StatusNotFound)
}

func TestRegistries(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	_, _, err := api.Registry.Get(ctx)
	wantStatus(t, err, http.StatusNotFound)
	must[*godo.Registry](t)(api.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: "berth", SubscriptionTierSlug: "basic"}))
	_, _, err = api.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: "second", SubscriptionTierSlug: "basic"})
	wantStatus(t, err, http.StatusConflict)
	if found := must[*godo.Registry](t)(api.Registry.Get(ctx)); found.Name != "berth" {
		t.Errorf("the registry is %+v", found)
	}
	if tier := must[*godo.RegistrySubscription](t)(api.Registries.GetSubscription(ctx)); tier.Tier.Slug != "basic" || tier.Tier.MonthlyPriceInCents != 500 {
		t.Errorf("the subscription is %+v", tier.Tier)
	}
	login := must[*godo.DockerCredentials](t)(api.Registries.DockerCredentials(ctx, "berth", &godo.RegistryDockerCredentialsRequest{}))
	if !strings.Contains(string(login.DockerConfigJSON), godo.RegistryServer) {
		t.Errorf("the login is %s", login.DockerConfigJSON)
	}
	cluster := must[*godo.KubernetesCluster](t)(api.Kubernetes.Create(ctx, clusterRequest("")))
	if _, err := api.Kubernetes.AddRegistry(ctx, &godo.KubernetesClusterRegistryRequest{ClusterUUIDs: []string{cluster.ID}}); err != nil {
		t.Fatal(err)
	}
	if cluster = must[*godo.KubernetesCluster](t)(api.Kubernetes.Get(ctx, cluster.ID)); !cluster.RegistryEnabled {
		t.Error("the cluster knows nothing of the registry")
	}
	if _, err := api.Registries.Delete(ctx, "berth"); err != nil {
		t.Error(err)
	}
}

func TestDatabases(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	database := must[*godo.Database](t)(api.Databases.Create(ctx, &godo.DatabaseCreateRequest{
		Name: "berth-postgres", EngineSlug: "pg", Version: "17", SizeSlug: "db-s-1vcpu-1gb", Region: "fra1", NumNodes: 1,
	}))
	if database.Status != "online" || !strings.HasPrefix(database.PrivateConnection.Host, "private-") || database.Connection.User != "doadmin" {
		t.Errorf("the database is %+v", database)
	}
	must[*godo.DatabaseDB](t)(api.Databases.CreateDB(ctx, database.ID, &godo.DatabaseCreateDBRequest{Name: "production"}))
	if all := must[[]godo.DatabaseDB](t)(api.Databases.ListDBs(ctx, database.ID, nil)); len(all) != 2 {
		t.Errorf("the databases are %v", all)
	}
	rules := &godo.DatabaseUpdateFirewallRulesRequest{Rules: []*godo.DatabaseFirewallRule{{Type: "k8s", Value: "cluster"}}}
	if _, err := api.Databases.UpdateFirewallRules(ctx, database.ID, rules); err != nil {
		t.Fatal(err)
	}
	if all := must[[]godo.DatabaseFirewallRule](t)(api.Databases.GetFirewallRules(ctx, database.ID)); len(all) != 1 || all[0].UUID == "" || all[0].Value != "cluster" {
		t.Errorf("the rules are %+v", all)
	}
	_, err := api.Databases.UpgradeMajorVersion(ctx, database.ID, &godo.UpgradeVersionRequest{Version: "16"})
	wantStatus(t, err, http.StatusUnprocessableEntity)
	if _, err := api.Databases.Delete(ctx, database.ID); err != nil {
		t.Error(err)
	}
}

func TestTagsAndCatalog(t *testing.T) {
	server := fake.Start(t, fake.Options{})
	api, ctx := client(t, server.URL, "token"), t.Context()
	volume := must[*godo.Volume](t)(api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{Name: "data", Region: "fra1", SizeGigaBytes: 1}))
	must[*godo.Tag](t)(api.Tags.Create(ctx, &godo.TagCreateRequest{Name: "mine"}))
	if _, err := api.Tags.TagResources(ctx, "mine", &godo.TagResourcesRequest{Resources: []godo.Resource{{ID: volume.ID, Type: godo.VolumeResourceType}}}); err != nil {
		t.Fatal(err)
	}
	if tag := must[*godo.Tag](t)(api.Tags.Get(ctx, "mine")); tag.Resources.Volumes.Count != 1 {
		t.Errorf("the tag is on %+v", tag.Resources)
	}
	if account := must[*godo.Account](t)(api.Account.Get(ctx)); account.Status != "active" {
		t.Errorf("the account is %+v", account)
	}
	for _, size := range must[[]godo.Size](t)(api.Sizes.List(ctx, nil)) {
		if size.PriceMonthly <= 0 || size.PriceHourly <= 0 || !size.Available {
			t.Errorf("a size is %+v", size)
		}
	}
	if regions := must[[]godo.Region](t)(api.Regions.List(ctx, nil)); len(regions) < 5 || regions[0].Slug == "" {
		t.Errorf("the regions are %v", regions)
	}
	if options := must[*godo.KubernetesOptions](t)(api.Kubernetes.GetOptions(ctx)); options.Versions[0].Slug != fake.Versions[0] {
		t.Errorf("the versions are %v", options.Versions)
	}
	if actions := must[[]godo.Action](t)(api.Actions.List(ctx, nil)); len(actions) != 1 || actions[0].Status != godo.ActionCompleted {
		t.Errorf("the actions are %+v", actions)
	}
}
