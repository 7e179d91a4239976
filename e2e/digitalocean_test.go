//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"berth/internal/fakedo/fake"
	"berth/internal/s3test"
	"berth/internal/tfprovider/mirror"
)

// The account's API listens where pods reach it, as Spaces are there too.
const accountAddress = "10.118.0.1:8765"

// Nodes of this machine that pass for DigitalOcean's: two at first, a third,
// then three of another size. The first one has the ingress and stays out.
const machineNodes = 7

// The whole life of a cluster at DigitalOcean. Terraform is the real one; the
// account is a fake whose cluster is the Kubernetes of this machine, so that
// what is deployed there really runs.
func testDigitalOcean(t *testing.T) {
	c := running(t)
	mustBerth(t, "scale", "--nodes", fmt.Sprint(machineNodes))
	account, folder := cloud(t, c)
	empty := inventory(t, account)

	berth(t, "-C", folder, "init", "--plan").wants(t, 0, "make the Kubernetes cluster", "COSTS A MONTH", "$53.00")
	if now := inventory(t, account); now != empty {
		t.Errorf("a plan changed the account from\n%s\nto\n%s", empty, now)
	}
	mustBerth(t, "-C", folder, "init").wants(t, 0, "is ready")
	for _, environment := range []string{"staging", "production"} {
		mustBerth(t, "-C", folder, "deploy", environment).wants(t, 0, "serves revision")
	}
	sites := map[string]*site{}
	for _, host := range []string{staging, production} {
		sites[host] = newSite(t, host).as(t, unique("oceanic"))
		slug := sites[host].write(t, unique("afloat"))
		sites[host].holds(t, slug)
	}
	mustBerth(t, "-C", folder, "backup", "now").wants(t, 0, "verified")
	mustBerth(t, "-C", folder, "status").wants(t, 0, "digitalocean")

	t.Run("again", func(t *testing.T) {
		before := inventory(t, account)
		mustBerth(t, "-C", folder, "init")
		if now := inventory(t, account); now != before {
			t.Errorf("a second init changed the account from\n%s\nto\n%s", before, now)
		}
	})
	id := cluster0(t, account).ID
	t.Run("count", func(t *testing.T) {
		underLoad(t, "scale to 3 nodes", func() { mustBerth(t, "-C", folder, "scale", "--nodes", "3") })
		wantPool(t, account, id, "s-2vcpu-4gb", 3)
	})
	t.Run("size", func(t *testing.T) {
		c.moveTo(t, cluster0(t, account).NodePools[0])
		underLoad(t, "scale to another size", func() { mustBerth(t, "-C", folder, "scale", "--size", "s-4vcpu-8gb") })
		wantPool(t, account, id, "s-4vcpu-8gb", 3)
	})
	t.Run("drift", func(t *testing.T) {
		if err := account.Change(func(a *fake.Account) { a.Clusters[0].NodePools[0].Count = 5 }); err != nil {
			t.Fatal(err)
		}
		mustBerth(t, "-C", folder, "init", "--plan").wants(t, 0, "node_count")
		if err := account.Change(func(a *fake.Account) { a.Clusters[0].NodePools[0].Count = 3 }); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("destroy", func(t *testing.T) {
		berth(t, "-C", folder, "destroy").wants(t, 2, "--yes")
		mustBerth(t, "-C", folder, "destroy", "--yes").wants(t, 0, "Kept:", "Space")
		if now := inventory(t, account); now != empty {
			t.Errorf("the account was\n%s\nand is\n%s", empty, now)
		}
		// Another application may live in a namespace, which then stays.
		for _, name := range []string{"staging", "production"} {
			if pods := c.pods(t, name, app); len(pods) > 0 {
				t.Errorf("%d pods are left in %s", len(pods), name)
			}
		}
		if _, err := c.CoreV1().Namespaces().Get(t.Context(), "production", metav1.GetOptions{}); err == nil {
			t.Error("the namespace production is left")
		}
	})
}

// moveTo brings the application's pods to a pool's nodes, which are about to go.
func (c *cluster) moveTo(t *testing.T, pool *godo.KubernetesNodePool) {
	t.Helper()
	there := map[string]bool{}
	for _, node := range pool.Nodes {
		there[node.Name] = true
	}
	for i := range machineNodes {
		if name := fmt.Sprintf("node-%d", i+1); !there[name] {
			c.cordon(t, name, true)
			defer c.cordon(t, name, false)
		}
	}
	for _, pod := range c.pods(t, "production", app) {
		if err := c.CoreV1().Pods("production").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "another pod", 2*time.Minute, func() error { return c.whole(t, pod.Name) })
	}
	awaitLeaving(t)
	for _, pod := range c.pods(t, "production", app) {
		if !there[pod.Spec.NodeName] {
			t.Errorf("pod %s is on %s, not on one of the pool", pod.Name, pod.Spec.NodeName)
		}
	}
}

// cloud starts an account, and makes the folder of an application that is to
// run there.
func cloud(t *testing.T, c *cluster) (*fake.Fake, string) {
	t.Helper()
	bucket, err := s3test.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bucket.Stop(); err != nil {
			t.Error(err)
		}
	})
	account, err := fake.New(fake.Options{
		Delay: time.Second, Kubeconfig: state + "/kubeconfig/berth-admin.yaml",
		NodeNames: func(context.Context) ([]string, error) {
			var names []string
			for i := range machineNodes - 1 {
				names = append(names, fmt.Sprintf("node-%d", i+2))
			}
			return names, nil
		},
		S3: "http://" + bucket.Address, S3AccessKey: s3test.AccessKey, S3SecretKey: s3test.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", accountAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: account}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })

	plugins, err := mirror.Install(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TF_CLI_CONFIG_FILE", plugins)
	t.Cleanup(func() {
		if err := os.RemoveAll(home + "/state/berth/digitalocean"); err != nil {
			t.Error(err)
		}
	})

	// No registry can be reached, so that the images are those that the nodes
	// have. Certificates are those of this machine's authority.
	database := c.pods(t, "production", "app.kubernetes.io/name=postgresql")[0].Spec.Containers[0].Image
	schedule, err := c.BatchV1().CronJobs("production").Get(t.Context(), "realworld-backup", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tls := object{"ingress": object{"tlsSecret": "realworld-tls"}}
	content, err := yaml.Marshal(object{
		"name": "realworld", "provider": "digitalocean", "port": 8000, "health": "/readyz",
		"image":   berthImage(t, c),
		"secrets": []string{"CONDUIT_SECRET"},
		"images":  object{"backup": schedule.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image},
		// This machine's kubelets keep logs elsewhere than DigitalOcean's.
		"logs": object{"sinks": []string{"none"}},
		"digitalocean": object{
			"cluster": "e2e", "region": "fra1", "bucket": "e2e-backups", "registry": "ghcr.io/nobody",
			"nodes": 2, "size": "s-2vcpu-4gb", "ingress": "none", "ingressClass": "nginx", "storageClass": "berth",
		},
		"environments": object{
			"staging": object{"hosts": []string{staging}, "database": "sqlite", "values": tls},
			"production": object{"hosts": []string{production}, "database": "postgres", "replicas": 2, "values": object{
				"ingress": tls["ingress"], "postgresql": object{"image": object{"reference": database}},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "berth.yaml"), string(content))
	access, secret := account.NewSpacesKey("operator")
	env := fmt.Sprintf("DIGITALOCEAN_TOKEN=dop_v1_e2e\nDIGITALOCEAN_API_URL=http://%[1]s\nSPACES_ENDPOINT_URL=http://%[1]s\n"+
		"SPACES_ACCESS_KEY_ID=%[2]s\nSPACES_SECRET_ACCESS_KEY=%[3]s\nCONDUIT_SECRET=%[4]s\n",
		accountAddress, access, secret, strings.Repeat("0123456789abcdef", 4))
	if err := os.WriteFile(filepath.Join(folder, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	return account, folder
}

// berthImage is the application's image that production runs.
func berthImage(t *testing.T, c *cluster) string {
	t.Helper()
	return c.pods(t, "production", app)[0].Spec.Containers[0].Image
}

func accountOf(t *testing.T, f *fake.Fake) *fake.Account {
	t.Helper()
	account, err := f.Account()
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// inventory describes what costs money, and who may do what, in an account.
func inventory(t *testing.T, f *fake.Fake) string {
	t.Helper()
	account := accountOf(t, f)
	var lines []string
	for _, cluster := range account.Clusters {
		if cluster.Deleted != nil {
			continue
		}
		lines = append(lines, "cluster "+cluster.Name)
		for _, pool := range cluster.NodePools {
			lines = append(lines, fmt.Sprintf("pool %s %d × %s", pool.ID, pool.Count, pool.Size))
		}
	}
	for _, vpc := range account.VPCs {
		lines = append(lines, "network "+vpc.Name)
	}
	for _, balancer := range account.LoadBalancers {
		lines = append(lines, "load balancer "+balancer.Name)
	}
	for _, volume := range account.Volumes {
		lines = append(lines, "volume "+volume.Name)
	}
	for _, key := range account.SpacesKeys {
		lines = append(lines, "key "+key.Name)
	}
	for _, project := range account.Projects {
		lines = append(lines, "project "+project.Name)
	}
	// The network that a region has by itself comes with the first cluster.
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "network default-") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func cluster0(t *testing.T, f *fake.Fake) *fake.Cluster {
	t.Helper()
	for _, cluster := range accountOf(t, f).Clusters {
		if cluster.Deleted == nil {
			return cluster
		}
	}
	t.Fatal("there is no cluster in the account")
	return nil
}

func wantPool(t *testing.T, f *fake.Fake, id, size string, nodes int) {
	t.Helper()
	cluster := cluster0(t, f)
	if cluster.ID != id {
		t.Error("the cluster was replaced")
	}
	if len(cluster.NodePools) != 1 || cluster.NodePools[0].Size != size || cluster.NodePools[0].Count != nodes {
		t.Errorf("the pools are %+v, want %d × %s", cluster.NodePools, nodes, size)
	}
	connected, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range connected.pods(t, "production", app) {
		node, err := connected.CoreV1().Nodes().Get(t.Context(), pod.Spec.NodeName, metav1.GetOptions{})
		if err != nil || node.Spec.Unschedulable || pod.Status.Phase != core.PodRunning {
			t.Errorf("pod %s is %s on node %s, which is closed: %v", pod.Name, pod.Status.Phase, pod.Spec.NodeName, err)
		}
	}
}
