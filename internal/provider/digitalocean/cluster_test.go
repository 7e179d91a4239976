package digitalocean

import (
	"os"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"berth/internal/config"
)

func TestTheKubeconfigIsBerthsOwn(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	cluster, err := w.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Name != "shop" || cluster.REST.Host != w.kube.URL || cluster.StorageClass != "do-block-storage" || cluster.LoadBalancer == nil {
		t.Errorf("got %+v", cluster)
	}
	file, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if file.CurrentContext != "shop" || len(file.Contexts) != 1 {
		t.Errorf("the kubeconfig has the contexts %v, current %q", file.Contexts, file.CurrentContext)
	}
	info, err := os.Stat(cluster.Kubeconfig)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: mode %v", err, info.Mode())
	}
}

func TestAKubeconfigMayRunNoProgram(t *testing.T) {
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{}
	file.AuthInfos["u"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: "sh"}}
	file.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	file.CurrentContext = "x"
	_, err := ownContext(file, "shop")
	wantError(t, err, "wants to run a program", "")
	_, err = ownContext(clientcmdapi.NewConfig(), "shop")
	wantError(t, err, "no current context", "")
}

func TestAClusterOfSomebodyElsesIsLeftAlone(t *testing.T) {
	w := start(t)
	_, err := w.Cluster(t.Context())
	if err == nil {
		t.Fatal("there is a cluster already")
	}
	account := w.account(t)
	if len(account.Clusters) != 0 {
		t.Fatal("looking made a cluster")
	}
	w.makeClusterOfOthers(t)
	_, err = w.Cluster(t.Context())
	wantError(t, err, "berth did not make the Kubernetes cluster shop", "digitalocean.cluster")
}

func TestBucketKeys(t *testing.T) {
	w := start(t)
	// Without a cluster they are the operator's own.
	b, err := w.Bucket(t.Context())
	if err != nil || b.AccessKey != w.config.DotEnv[config.SpacesAccessKey] || b.Name != w.config.DigitalOcean.Bucket || b.Region != "fra1" {
		t.Errorf("got %+v, %v", b, err)
	}
	// A cluster that has none is not given those.
	w.makeCluster(t, mark)
	_, err = w.Bucket(t.Context())
	wantError(t, err, "has no key for Space", "berth init")

	cluster, err := w.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := storeKey(t.Context(), cluster, "granted", "granted-secret"); err != nil {
		t.Fatal(err)
	}
	if b, err = w.Bucket(t.Context()); err != nil || b.AccessKey != "granted" || b.SecretKey != "granted-secret" {
		t.Errorf("got %s, %v", b.AccessKey, err)
	}
	w.config.DotEnv[config.BucketAccessKey], w.config.DotEnv[config.BucketSecretKey] = "own", "own-secret"
	if b, err = w.Bucket(t.Context()); err != nil || b.AccessKey != "own" {
		t.Errorf("got %s, %v", b.AccessKey, err)
	}
}

func TestSpacesEndpoint(t *testing.T) {
	for _, c := range []struct{ region, address, want string }{
		{"fra1", "", "fra1.digitaloceanspaces.com"},
		{"nyc1", "", "nyc3.digitaloceanspaces.com"}, // has no Spaces
		{"fra1", "https://{{.Region}}.example.com/", "https://fra1.example.com"},
		{"fra1", "http://127.0.0.1:9000", "http://127.0.0.1:9000"},
	} {
		got := spaceEndpoint(&config.Config{
			DigitalOcean: config.DigitalOcean{Region: c.region}, DotEnv: map[string]string{config.SpacesEndpointURL: c.address},
		})
		if got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.region, c.address, got, c.want)
		}
	}
}
