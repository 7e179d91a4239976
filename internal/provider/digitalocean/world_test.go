package digitalocean

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"k8s.io/client-go/kubernetes"

	"berth/internal/config"
	"berth/internal/fakedo/fake"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/s3test"
	"berth/internal/tfprovider/mirror"
)

// s3 is the real S3 server behind Spaces.
var s3 *s3test.Server

func TestMain(m *testing.M) {
	if file := os.Getenv(victimFile); file != "" {
		os.Exit(victim(file))
	}
	status, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// sharedFolder is the tests' folder for what they share.
var sharedFolder string

// setUp starts what the tests share: the S3 server, and the plugin where the
// real Terraform finds it.
func setUp(m *testing.M) (status int, err error) {
	if sharedFolder, err = os.MkdirTemp("", "digitalocean-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(sharedFolder)) }()
	plugins, err := mirror.Install(sharedFolder)
	if err != nil {
		return 1, err
	}
	if err := os.Setenv("TF_CLI_CONFIG_FILE", plugins); err != nil {
		return 1, err
	}
	if s3, err = s3test.Start(); err != nil {
		return 1, err
	}
	// Terraform and its plugin live for a second each: their garbage is not worth
	// collecting.
	if err := os.Setenv("GOGC", "off"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, s3.Stop()) }()
	return m.Run(), nil
}

// secretToken must turn up nowhere.
const secretToken = "dop_v1_secret-token"

// world is an account at DigitalOcean, a cluster's API server, and the provider.
type world struct {
	*Provider
	do   *fake.Server
	gate *gate
	kube *apiServer
	said *journal
}

// start makes an empty account whose clusters and nodes take a moment.
func start(t *testing.T) *world {
	t.Helper()
	k := startKube(t)
	do := fake.Start(t, fake.Options{
		Delay: 30 * time.Millisecond, Kubeconfig: k.kubeconfig(t),
		S3: "http://" + s3.Address, S3AccessKey: s3test.AccessKey, S3SecretKey: s3test.SecretKey,
	})
	k.account = do.Fake
	front := startGate(t, do)
	access, secret := do.NewSpacesKey("operator", &godo.Grant{Permission: godo.SpacesKeyFullAccess})
	c := &config.Config{
		Name: "shop", Provider: "digitalocean", StateDir: filepath.Join(t.TempDir(), "state"),
		Environments: map[string]config.Environment{
			"staging":    {Hosts: []string{"staging.example.com"}, Database: config.SQLite},
			"production": {Hosts: []string{"example.com", "www.example.net"}, Database: config.Postgres},
		},
		DigitalOcean: config.DigitalOcean{
			Cluster: "shop", Region: "fra1", Nodes: 2, Size: "s-2vcpu-4gb", Maintenance: "sunday 04:00",
			Bucket: bucketName(t), Registry: "ghcr.io/me", Ingress: config.IngressF5, IngressClass: "nginx",
			Certificates: config.NoCertificates, StorageClass: "do-block-storage",
		},
		DotEnv: map[string]string{
			config.DigitalOceanToken: secretToken, config.DigitalOceanAPIURL: front.URL,
			config.SpacesEndpointURL: front.URL, config.SpacesAccessKey: access, config.SpacesSecretKey: secret,
		},
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.pause = 5 * time.Millisecond
	return &world{p, do, front, k, &journal{}}
}

// bucketName is a name for a test alone, as all share the S3 server.
func bucketName(t *testing.T) string {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	return fmt.Sprintf("%.40s-%d", name, time.Now().UnixNano()%1e9)
}

// account is everything in the account.
func (w *world) account(t *testing.T) *fake.Account {
	t.Helper()
	account, err := w.do.Account()
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// makeCluster makes a cluster as Terraform would, without it.
func (w *world) makeCluster(t *testing.T, tags ...string) *godo.KubernetesCluster {
	t.Helper()
	cluster, _, err := w.api.Kubernetes.Create(t.Context(), &godo.KubernetesClusterCreateRequest{
		Name: "shop", RegionSlug: "fra1", VersionSlug: fake.Versions[0], Tags: tags,
		NodePools: []*godo.KubernetesNodePoolCreateRequest{{
			Name: "shop-s-2vcpu-4gb", Size: "s-2vcpu-4gb", Count: 2, Tags: append(tags, defaultPool),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.awaitUsable(t.Context(), cluster.ID, progress.Discard.Step("")); err != nil {
		t.Fatal(err)
	}
	cluster, err = w.findCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// journal is a Reporter that keeps what it is told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) write(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

func (j *journal) Step(title string) progress.Step { j.write(title); return entry{j, title} }
func (j *journal) Note(text string)                { j.write("note: " + text) }

type entry struct {
	*journal
	title string
}

func (e entry) Detail(text string) { e.write(e.title + ": " + text) }
func (e entry) End(err error) {
	if err != nil {
		e.write(e.title + " failed: " + err.Error())
	}
}

func wantError(t *testing.T, err error, message, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("error is %v, want one with %q", err, message)
	}
	if got := fault.Hint(err); !strings.Contains(got, hint) {
		t.Errorf("hint is %q, want one with %q", got, hint)
	}
	if err != nil && strings.Contains(err.Error()+fault.Hint(err), secretToken) {
		t.Error("the error shows the token")
	}
}

// makeClusterOfOthers makes a cluster of the same name without berth's mark.
func (w *world) makeClusterOfOthers(t *testing.T) {
	t.Helper()
	_, _, err := w.api.Kubernetes.Create(t.Context(), &godo.KubernetesClusterCreateRequest{
		Name: "shop", RegionSlug: "fra1", VersionSlug: fake.Versions[0],
		NodePools: []*godo.KubernetesNodePoolCreateRequest{{Name: "pool", Size: "s-2vcpu-4gb", Count: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// connect returns a client of the cluster's API server.
func (w *world) connect(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := w.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client
}
