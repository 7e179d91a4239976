package existing

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	networking "k8s.io/api/networking/v1"
	storage "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/existing/apitest"
)

// The compiler checks that all of the interface is there.
var _ provider.Provider = (*Provider)(nil)

func start(t *testing.T) (*apitest.Server, *Provider) {
	t.Helper()
	server := apitest.Start()
	t.Cleanup(server.Close)
	folder := t.TempDir()
	kubeconfig, err := server.Kubeconfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(&config.Config{
		Name: "app", StateDir: filepath.Join(folder, "state"), DotEnv: map[string]string{},
		Environments: map[string]config.Environment{"staging": {Database: config.SQLite}},
		Existing:     config.Existing{Kubeconfig: kubeconfig, Context: "test", IngressClass: "nginx", Registry: "ghcr.io/me"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, p
}

func wantError(t *testing.T, err error, message, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("error is %v, want one with %q", err, message)
	}
	if got := fault.Hint(err); !strings.Contains(got, hint) {
		t.Errorf("hint is %q, want one with %q", got, hint)
	}
}

func TestAClusterIsThereOnceInitHasSeenIt(t *testing.T) {
	server, p := start(t)
	if _, err := p.Cluster(t.Context()); !errors.Is(err, provider.ErrNotUp) {
		t.Errorf("before init: got %v, want ErrNotUp", err)
	}
	for range 2 { // init works again
		if err := p.Init(t.Context(), progress.Discard); err != nil {
			t.Fatal(err)
		}
	}
	cluster, err := p.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Name != "test" || cluster.REST.Host != server.URL || cluster.IngressClass != "nginx" {
		t.Errorf("got cluster %+v", cluster)
	}
}

func TestTheContextMustBeNamedAndThere(t *testing.T) {
	_, p := start(t)
	p.config.Existing.Context = "absent"
	wantError(t, p.Init(t.Context(), progress.Discard), `no context "absent"`, "other, test")
	p.config.Existing.Kubeconfig = "/nowhere/kubeconfig"
	wantError(t, p.Init(t.Context(), progress.Discard), "no kubeconfig /nowhere/kubeconfig", "existing.kubeconfig")
}

func TestAnotherClusterBehindTheSameNameIsRefused(t *testing.T) {
	server, p := start(t)
	if err := p.Init(t.Context(), progress.Discard); err != nil {
		t.Fatal(err)
	}
	server.SetIdentity("another")
	_, err := p.Cluster(t.Context())
	wantError(t, err, "another cluster than before", "remove "+p.record().path)
	wantError(t, p.Init(t.Context(), progress.Discard), "another cluster than before", "")

	// Destroy forgets, after which the new one can be taken.
	if _, err := p.Destroy(t.Context(), progress.Discard); err != nil {
		t.Fatal(err)
	}
	if err := p.Init(t.Context(), progress.Discard); err != nil {
		t.Error(err)
	}
}

func TestARecordThatSaysNothingIsNotTrusted(t *testing.T) {
	_, p := start(t)
	if err := p.Init(t.Context(), progress.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.record().path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p.Cluster(t.Context())
	wantError(t, err, "does not say which cluster", "berth init")
}

func TestInitReportsAllThatLacks(t *testing.T) {
	server, p := start(t)
	server.Deny("delete secrets")
	server.Deny("create ingresses")
	server.Set("/apis/networking.k8s.io/v1/ingressclasses/nginx", nil)
	server.Set("/apis/networking.k8s.io/v1/ingressclasses", networking.IngressClassList{
		Items: []networking.IngressClass{{ObjectMeta: metav1.ObjectMeta{Name: "traefik"}}},
	})
	server.Set("/apis/storage.k8s.io/v1/storageclasses", storage.StorageClassList{
		Items: []storage.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "slow"}}},
	})
	p.config.Existing.Issuer = "letsencrypt"
	err := p.Init(t.Context(), progress.Discard)
	for _, want := range []string{"delete secrets", "create ingresses", "no ingress class", "no default storage class", "no ClusterIssuer"} {
		wantError(t, err, want, "berth doctor")
	}
	if _, err := p.Cluster(t.Context()); !errors.Is(err, provider.ErrNotUp) {
		t.Error("an incomplete cluster was remembered")
	}

	remedies := map[string]string{}
	for _, check := range p.Check(t.Context()) {
		remedies[check.Name] = check.Remedy
	}
	for name, want := range map[string]string{
		"permissions": "cluster-admin", "ingress class nginx": "traefik", "storage class": "slow", "issuer letsencrypt": "cert-manager",
	} {
		if !strings.Contains(remedies[name], want) {
			t.Errorf("remedy of %s is %q, want one with %q", name, remedies[name], want)
		}
	}
}

func TestAClusterThatDoesNotAnswerIsNamed(t *testing.T) {
	server, p := start(t)
	server.Close()
	wantError(t, p.Init(t.Context(), progress.Discard), "reach cluster test at "+server.URL, "")
}

func TestTheNodesAreNotBerths(t *testing.T) {
	_, p := start(t)
	wantError(t, p.Scale(t.Context(), provider.Scale{Nodes: 3}, progress.Discard), "are yours", "where you made the cluster")
}

func TestDestroyNamesWhatItKeeps(t *testing.T) {
	_, p := start(t)
	p.config.Existing.Bucket = config.Bucket{Name: "backups", Endpoint: "s3.example.com"}
	kept, err := p.Destroy(t.Context(), progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(kept, "\n")
	for _, want := range []string{"cluster test", "class nginx", "bucket backups at s3.example.com", "ghcr.io/me/app"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not among what is kept:\n%s", want, text)
		}
	}
}

func TestTheBucketMustAnswerToItsKeys(t *testing.T) {
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.Contains(r.Header.Get("Authorization"), "Credential=good/"):
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path != "/backups/":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s3.Close)
	_, p := start(t)
	bucket := &p.config.Existing.Bucket

	_, err := p.Bucket(t.Context())
	wantError(t, err, "there is no bucket", "existing.bucket.name")
	*bucket = config.Bucket{Name: "backups", Endpoint: s3.URL, Region: "eu"}
	_, err = p.Bucket(t.Context())
	wantError(t, err, "no keys", ".s3cfg")
	p.config.DotEnv = map[string]string{config.BucketAccessKey: "bad", config.BucketSecretKey: "hidden"}
	_, err = p.Bucket(t.Context())
	wantError(t, err, "reach bucket backups", "the keys in .env")
	if strings.Contains(err.Error(), "hidden") {
		t.Error("the error shows the secret key")
	}
	p.config.DotEnv[config.BucketAccessKey] = "good"
	if b, err := p.Bucket(t.Context()); err != nil || b.Name != "backups" || b.SecretKey != "hidden" {
		t.Errorf("got %s, %v", b.Name, err)
	}
	bucket.Name = "absent"
	_, err = p.Bucket(t.Context())
	wantError(t, err, "no bucket absent", "")
}
