//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"berth/internal/config"
	"berth/internal/provider/existing"
	"berth/internal/s3test"
)

// bucketAddress is a bucket of another kind of store, where pods reach it.
const bucketAddress = "10.118.0.1:8766"

// Another engine, the same words: a cluster that berth did not make, by a
// kubeconfig whose user may do what docs/existing.md lists and nothing else.
func testExisting(t *testing.T) {
	c := running(t)
	const environment, host = "elsewhere", "elsewhere.localhost"
	folder := elsewhere(t, c, environment, host)
	serves := func() {
		t.Helper()
		request, err := http.NewRequest("GET", "http://"+httpAddress+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", host, answer.Status)
		}
	}

	mustBerth(t, "-C", folder, "doctor").wants(t, 0, "permissions")
	mustBerth(t, "-C", folder, "init").wants(t, 0, "is ready")
	mustBerth(t, "-C", folder, "deploy", environment).wants(t, 0, "http://"+host)
	serves()
	change(t, folder, func(config object) { config["env"] = object{"CHANGED": "yes"} })
	mustBerth(t, "-C", folder, "deploy", environment).wants(t, 0, "serves revision 2")
	mustBerth(t, "-C", folder, "rollback", environment).wants(t, 0, "serves revision 3")
	serves()
	mustBerth(t, "-C", folder, "history", environment).wants(t, 0, "rollback to 1")
	mustBerth(t, "-C", folder, "logs", environment).wants(t, 0, "serving")
	mustBerth(t, "-C", folder, "psql", environment, "-c", "SELECT count(*) FROM goose_db_version").wants(t, 0, "(1 row)")
	mustBerth(t, "-C", folder, "restart", environment).wants(t, 0, "new pods")
	mustBerth(t, "-C", folder, "backup", "now").wants(t, 0, "verified")
	mustBerth(t, "-C", folder, "status").wants(t, 0, "existing", host)
	berth(t, "-C", folder, "scale", "--nodes", "3").wants(t, 1, "are yours")

	berth(t, "-C", folder, "destroy", "--yes").wants(t, 0, "Kept:", "bucket")
	if _, err := c.CoreV1().Namespaces().Get(t.Context(), environment, metav1.GetOptions{}); err == nil {
		t.Errorf("the namespace %s is left", environment)
	}
	// What this machine's own application has goes on.
	mustBerth(t, "status").wants(t, 0, production)
}

// elsewhere makes the folder of an application that is to run there.
func elsewhere(t *testing.T, c *cluster, environment, host string) string {
	t.Helper()
	folder := t.TempDir()
	limited(t, c, filepath.Join(folder, "kubeconfig"))
	bucket := reachable(t)

	database := c.pods(t, "production", "app.kubernetes.io/name=postgresql")[0].Spec.Containers[0].Image
	schedule, err := c.BatchV1().CronJobs("production").Get(t.Context(), "realworld-backup", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := yaml.Marshal(object{
		"name": "realworld", "provider": "existing", "port": 8000, "health": "/readyz",
		"image":   berthImage(t, c),
		"secrets": []string{"CONDUIT_SECRET"},
		"images":  object{"backup": schedule.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image},
		"logs":    object{"sinks": []string{"none"}}, // the agent here is this machine's
		"existing": object{
			"kubeconfig": "kubeconfig", "context": "limited", "storageClass": "berth",
			"bucket": object{"name": bucket, "endpoint": "http://" + bucketAddress, "region": "us-east-1"},
		},
		"environments": object{environment: object{
			"hosts": []string{host}, "database": "postgres",
			"values": object{"postgresql": object{"image": object{"reference": database}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "berth.yaml"), string(content))
	env := fmt.Sprintf("CONDUIT_SECRET=%s\nBUCKET_ACCESS_KEY=%s\nBUCKET_SECRET_KEY=%s\n", strings.Repeat("0123456789abcdef", 4), s3test.AccessKey, s3test.SecretKey)
	if err := os.WriteFile(filepath.Join(folder, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home + "/state/berth/existing"); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// limited writes the kubeconfig of a user with the documented rights.
func limited(t *testing.T, c *cluster, file string) {
	t.Helper()
	const name, namespace = "berth-limited", "default"
	meta := metav1.ObjectMeta{Name: name}
	role := &rbac.ClusterRole{ObjectMeta: meta, Rules: existing.Rules(&config.Config{Logs: config.Logs{Sinks: []string{config.NoSink}}})}
	if _, err := c.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		for _, err := range []error{
			c.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{}),
			c.CoreV1().ServiceAccounts(namespace).Delete(ctx, name, metav1.DeleteOptions{}),
			c.RbacV1().ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{}),
		} {
			if err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		}
	})
	if _, err := c.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &core.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbac.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: name, Namespace: namespace}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	hour := int64(time.Hour / time.Second)
	token, err := c.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name,
		&authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := clientcmd.LoadFromFile(state + "/kubeconfig/berth-admin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	for _, cluster := range admin.Clusters {
		config.Clusters["here"] = cluster
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["limited"] = &clientcmdapi.Context{Cluster: "here", AuthInfo: name}
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
}

// reachable makes a bucket behind bucketAddress.
func reachable(t *testing.T) (bucket string) {
	t.Helper()
	s3, err := s3test.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s3.Stop(); err != nil {
			t.Error(err)
		}
	})
	listener, err := net.Listen("tcp", bucketAddress)
	if err != nil {
		t.Fatal(err)
	}
	target := &url.URL{Scheme: "http", Host: s3.Address}
	server := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which the client has signed
	}}}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return s3.Bucket(t)
}

// change changes a berth.yaml.
func change(t *testing.T, folder string, how func(config object)) {
	t.Helper()
	file := filepath.Join(folder, "berth.yaml")
	config := object{}
	if err := yaml.Unmarshal([]byte(readFile(t, file)), &config); err != nil {
		t.Fatal(err)
	}
	how(config)
	content, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(content))
}
