package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/fakedo/fake"
)

const clusterAddress = "digitalocean_kubernetes_cluster.main"

func TestConfigurationIsFormattedAndValid(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	formatted, files, err := s.FormatCheck(t.Context())
	if err != nil || !formatted {
		t.Errorf("not formatted are %v, %v", files, err)
	}
	result, err := s.Validate(t.Context())
	if err != nil || !result.Valid || len(result.Diagnostics) > 0 {
		t.Errorf("it is not valid: %v %v", result, err)
	}
}

// Every variable says what it is for and refuses what cannot be meant; a yes or
// no cannot be wrong.
func TestVariablesAreDescribedAndValidated(t *testing.T) {
	text := configuration(t)["variables.tf"]
	blocks := regexp.MustCompile(`(?ms)^variable "(\w+)" \{\n(.*?)^\}`).FindAllStringSubmatch(text, -1)
	if len(blocks) != strings.Count(text, "\nvariable ")+1 {
		t.Fatalf("only %d variables are understood", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(block[2], "description = ") {
			t.Errorf("%s is not described", block[1])
		}
		if !strings.Contains(block[2], "validation {") && !regexp.MustCompile(`type\s+= bool`).MatchString(block[2]) {
			t.Errorf("%s is not validated", block[1])
		}
	}
}

func TestWrongVariablesAreRefused(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	wrong := map[string]string{
		"name": `"Berth"`, "region": `"frankfurt"`, "vpc_ip_range": `"10.0.0.0/8"`, "kubernetes_version": `"1.36.2-do.0"`,
		"maintenance_day": `"Sunday"`, "maintenance_start": `"25:00"`, "node_size": `"big"`, "node_count": "0", "max_nodes": "1.5",
		"tags": `["terraform:default-node-pool"]`, "bucket": `"Backups"`, "bucket_region": `"nowhere"`, "bucket_undelete_days": "0",
		"logs_prefix": `"/logs"`, "logs_days": "0", "project_environment": `"production"`, "domain": `"localhost"`, "hosts": `["*"]`,
		"ingress_ip": `"300.1.1.1"`, "registry": `"-"`, "registry_tier": `"Gold"`, "postgres_size": `"huge"`, "postgres_version": `"17.2"`,
		"postgres_nodes": "4", "postgres_databases": `["Production"]`,
	}
	var lines []string
	for name, value := range wrong {
		lines = append(lines, name+" = "+value)
	}
	s.variables(lines...)
	_, err := s.Plan(t.Context())
	if err == nil {
		t.Fatal("all of them are taken")
	}
	messages := regexp.MustCompile(`error_message = "(.*)"`).FindAllStringSubmatch(configuration(t)["variables.tf"], -1)
	for _, message := range messages {
		failed(t, err, message[1])
	}
	// Terraform and OpenTofu call it the same.
	if told := strings.Count(err.Error(), "Invalid value for variable"); told != len(wrong) || told != len(messages) {
		t.Errorf("%d of %d wrong values are refused, by %d rules", told, len(wrong), len(messages))
	}
}

func TestPlanAloneMakesNothing(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	s.variables()
	changes := s.plan()
	for _, address := range []string{
		clusterAddress, "digitalocean_vpc.main", "digitalocean_spaces_bucket.main", "digitalocean_spaces_key.main",
		"digitalocean_project.main", "digitalocean_project_resources.main",
	} {
		if changes[address] != "create" {
			t.Errorf("%s: %q", address, changes[address])
		}
	}
	if len(changes) != 6 {
		t.Errorf("the least configuration makes %v", changes)
	}
	account := s.account()
	if len(account.Clusters)+len(account.VPCs)+len(account.Buckets) != 0 {
		t.Errorf("a plan made something: %+v", account)
	}
}

// everything turns on all that the configuration can make.
var everything = []string{
	`kubernetes_version = "1.36"`, `region = "nyc1"`, `tags = ["berth"]`, `domain = "example.com"`, `create_domain = true`,
	`hosts = ["example.com", "staging.example.com"]`, `ingress_ip = "203.0.113.7"`, `registry = "berth"`,
	`postgres_size = "db-s-1vcpu-1gb"`, `postgres_databases = ["production"]`, `maintenance_day = "sunday"`,
}

func TestEverythingFromBeginningToEnd(t *testing.T) {
	s := newStage(t, fake.Options{Delay: 300 * time.Millisecond}, configuration(t))
	s.variables(everything...)
	var output bytes.Buffer
	s.SetStdout(&output)
	s.SetStderr(&output)
	s.apply()

	account := s.account()
	cluster := account.Clusters[0]
	if cluster.VersionSlug != "1.36.2-do.0" || cluster.HA || !cluster.SurgeUpgrade || !cluster.AutoUpgrade || !cluster.RegistryEnabled ||
		cluster.MaintenancePolicy.Day != godo.KubernetesMaintenanceDaySunday || cluster.VPCUUID != account.VPCs[0].ID {
		t.Errorf("the cluster is %+v", cluster.KubernetesCluster)
	}
	pool := cluster.NodePools[0]
	if pool.Name != "berth-s-2vcpu-4gb" || pool.Count != 2 || !slices.Contains(pool.Tags, "terraform:default-node-pool") || !slices.Contains(pool.Tags, "berth") {
		t.Errorf("the pool is %+v", pool)
	}
	bucket := account.Buckets[0]
	for _, part := range []string{"<ID>undelete</ID>", "<NoncurrentDays>30</NoncurrentDays>", "<DaysAfterInitiation>2</DaysAfterInitiation>", "<Prefix>logs/</Prefix>", "<Days>90</Days>"} {
		if !strings.Contains(bucket.Lifecycle, part) {
			t.Errorf("the bucket's rules have no %s: %s", part, bucket.Lifecycle)
		}
	}
	if bucket.Versioning != "Enabled" {
		t.Errorf("the bucket's versioning is %q", bucket.Versioning)
	}
	key := account.SpacesKeys[1]
	if len(key.Grants) != 1 || *key.Grants[0] != (godo.Grant{Bucket: bucket.Name, Permission: godo.SpacesKeyReadWrite}) {
		t.Errorf("the key's grants are %+v", key.Grants)
	}
	names := []string{}
	for _, record := range account.Domains[0].Records {
		if record.Type == "A" {
			names = append(names, record.Name+" "+record.Data)
		}
	}
	slices.Sort(names)
	if fmt.Sprint(names) != "[@ 203.0.113.7 staging 203.0.113.7]" {
		t.Errorf("the records are %v", names)
	}
	database := account.Databases[0]
	if !slices.Contains(database.DBNames, "production") || len(database.Rules) != 1 || database.Rules[0].Value != cluster.ID || database.PrivateNetworkUUID != account.VPCs[0].ID {
		t.Errorf("the database is %+v with the rules %+v", database.Database, database.Rules)
	}
	if project := account.Projects[1]; project.Name != "berth" || len(project.Resources) != 4 {
		t.Errorf("the project %s holds %v", project.Name, project.Resources)
	}

	s.SetStdout(io.Discard) // These are told on purpose.
	outputs, err := s.Output(t.Context())
	s.SetStdout(&output)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"cluster_id": cluster.ID, "cluster_name": "berth", "vpc_id": account.VPCs[0].ID, "project_id": account.Projects[1].ID,
		"bucket_name": bucket.Name, "bucket_region": "nyc3", "bucket_endpoint": "nyc3.digitaloceanspaces.com",
		"bucket_access_key": key.AccessKey, "bucket_secret_key": key.SecretKey, "registry": "registry.digitalocean.com/berth",
		"postgres_id": database.ID, "postgres_host": database.PrivateConnection.Host, "postgres_user": "doadmin",
		"postgres_password": database.Connection.Password,
	} {
		if got := string(outputs[name].Value); got != fmt.Sprintf("%q", want) {
			t.Errorf("the output %s is %s, not %q", name, got, want)
		}
	}
	for name, output := range outputs {
		secret := slices.Contains([]string{"bucket_access_key", "bucket_secret_key", "postgres_password"}, name)
		if output.Sensitive != secret {
			t.Errorf("the output %s is sensitive: %v", name, output.Sensitive)
		}
		if strings.Contains(name, "kube") {
			t.Errorf("there is an output %s", name)
		}
	}

	s.wantNoChange()
	// What Kubernetes makes is none of Terraform's business.
	balancer, _, err := s.api.LoadBalancers.Create(t.Context(), &godo.LoadBalancerRequest{
		Name: "ingress", Region: "nyc1", Tags: []string{"k8s:" + cluster.ID}, ForwardingRules: []godo.ForwardingRule{{EntryPort: 443}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.wantNoChange()
	if _, err := s.api.LoadBalancers.Delete(t.Context(), balancer.ID); err != nil {
		t.Fatal(err)
	}

	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	account = s.account()
	if n := len(account.Clusters) + len(account.VPCs) + len(account.Buckets) + len(account.Domains) + len(account.Registries) + len(account.Databases); n != 0 {
		t.Errorf("%d things are left: %+v", n, account)
	}
	if len(account.SpacesKeys) != 1 || len(account.Projects) != 1 || len(account.Projects[0].Resources) != 0 {
		t.Errorf("left are the keys %v and the projects %v", account.SpacesKeys, account.Projects)
	}
	for _, secret := range []string{token, key.SecretKey, database.Connection.Password} {
		if strings.Contains(output.String(), secret) {
			t.Errorf("the output tells a secret:\n%s", output.String())
		}
	}
}

func TestNodesFollowTheirCount(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	s.variables()
	s.apply()
	id := s.account().Clusters[0].ID

	s.variables("node_count = 3")
	s.wantPlan(map[string]string{clusterAddress: "update"})
	s.apply()
	if pool := s.account().Clusters[0].NodePools[0]; pool.Count != 3 {
		t.Errorf("there are %d nodes", pool.Count)
	}
	s.wantNoChange()

	// Somebody takes one away in the control panel.
	if err := s.fake.Change(func(a *fake.Account) { a.Clusters[0].NodePools[0].Count = 2 }); err != nil {
		t.Fatal(err)
	}
	s.wantPlan(map[string]string{clusterAddress: "update"})
	s.apply()

	s.variables("node_count = 2", "max_nodes = 5")
	s.wantPlan(map[string]string{clusterAddress: "update"})
	s.apply()
	if pool := s.account().Clusters[0].NodePools[0]; !pool.AutoScale || pool.MinNodes != 2 || pool.MaxNodes != 5 {
		t.Errorf("the pool is %+v", pool)
	}
	// The cluster grows by itself, and that is all right.
	if err := s.fake.Change(func(a *fake.Account) { a.Clusters[0].NodePools[0].Count = 4 }); err != nil {
		t.Fatal(err)
	}
	s.wantNoChange()
	if got := s.account().Clusters[0].ID; got != id {
		t.Error("the cluster was replaced")
	}
}

// A new size replaces the pool by the API, as "berth scale --size" does it; at no
// moment would Terraform replace the cluster.
func TestNodesGetAnotherSize(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	s.variables()
	s.apply()
	ctx, cluster := t.Context(), s.account().Clusters[0]
	first := cluster.NodePools[0]

	s.variables(`node_size = "s-4vcpu-8gb"`)
	s.wantNoChange()
	plan := s.planFile()
	told := false
	for _, check := range plan.Checks {
		if check.Address.ToDisplay == "check.node_size" && check.Status == "fail" {
			told = true
		}
	}
	if !told {
		t.Errorf("no check tells of the other size: %+v", plan.Checks)
	}

	second, _, err := s.api.Kubernetes.CreateNodePool(ctx, cluster.ID, &godo.KubernetesNodePoolCreateRequest{Name: "larger", Size: "s-4vcpu-8gb", Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.wantNoChange()
	for pool, tags := range map[string][]string{first.ID: {"old"}, second.ID: {"terraform:default-node-pool"}} {
		if _, _, err := s.api.Kubernetes.UpdateNodePool(ctx, cluster.ID, pool, &godo.KubernetesNodePoolUpdateRequest{Tags: tags}); err != nil {
			t.Fatal(err)
		}
		s.wantNoChange()
	}
	if _, err := s.api.Kubernetes.DeleteNodePool(ctx, cluster.ID, first.ID); err != nil {
		t.Fatal(err)
	}
	s.wantNoChange()
	s.apply()
	s.wantNoChange()
	if got := s.account().Clusters; len(got) != 1 || got[0].ID != cluster.ID || len(got[0].NodePools) != 1 || got[0].NodePools[0].Size != "s-4vcpu-8gb" {
		t.Errorf("the clusters are %+v", got)
	}
}

func TestUpgradesAreNoChange(t *testing.T) {
	s := newStage(t, fake.Options{Versions: []string{"1.37.0-do.0", "1.36.3-do.0", "1.36.2-do.0"}}, configuration(t))
	s.variables(`kubernetes_version = "1.36"`)
	s.apply()
	for _, version := range []string{"1.36.2-do.0", "1.37.0-do.0"} {
		if err := s.fake.Change(func(a *fake.Account) { a.Clusters[0].VersionSlug = version }); err != nil {
			t.Fatal(err)
		}
		s.wantNoChange()
	}
	s.variables(`kubernetes_version = "1.30"`)
	_, err := s.Plan(t.Context())
	failed(t, err, "DigitalOcean offers no Kubernetes 1.30")
}

func TestBucketKeepsItsContent(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	s.variables()
	s.apply()
	if err := os.WriteFile(s3.Folder+"/"+newBucket(t)+"/backup", []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	failed(t, s.Destroy(t.Context()), "Error deleting Spaces Bucket")
	if buckets := s.account().Buckets; len(buckets) != 1 {
		t.Errorf("the buckets are %v", buckets)
	}
	s.variables("destroy_bucket_content = true")
	s.apply()
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if buckets := s.account().Buckets; len(buckets) != 0 {
		t.Errorf("the buckets are %v", buckets)
	}
}

// Another name replaces nothing that holds data.
func TestRenaming(t *testing.T) {
	s := newStage(t, fake.Options{}, configuration(t))
	s.variables(`postgres_size = "db-s-1vcpu-1gb"`, `maintenance_day = "sunday"`)
	s.apply()
	s.variables(`postgres_size = "db-s-1vcpu-1gb"`, `maintenance_day = "sunday"`, `name = "other"`)
	for address, change := range s.plan() {
		if change != "update" {
			t.Errorf("%s would %s", address, change)
		}
	}
	s.variables(`postgres_size = "db-s-1vcpu-1gb"`, `maintenance_day = "sunday"`, `bucket = "another-bucket"`)
	_, err := s.Plan(t.Context())
	failed(t, err, "A Space cannot be renamed")
}
