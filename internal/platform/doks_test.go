package platform

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/registry"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"sigs.k8s.io/yaml"

	"berth/internal/provider"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var cloud = &provider.Cluster{
	IngressClass: "nginx", Issuer: "letsencrypt",
	LoadBalancer: &provider.LoadBalancer{
		Annotations:  map[string]string{"service.beta.kubernetes.io/do-loadbalancer-type": "REGIONAL_NETWORK"},
		Certificates: true, Email: "ops@example.com",
	},
}

// What the charts of others are given, in one file that says at a glance what a
// cluster in a cloud gets.
func TestValuesOfPublishedCharts(t *testing.T) {
	var text bytes.Buffer
	write := func(title string, object any) {
		encoded, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("# " + title + "\n" + string(encoded) + "---\n")
	}
	for _, p := range parts(cloud) {
		write(p.published.String()+" in namespace "+p.namespace+", Pod Security "+p.security, p.values)
	}
	for _, name := range []string{"letsencrypt", "letsencrypt-staging"} {
		write("ClusterIssuer", clusterIssuer(name, "nginx", "ops@example.com").Object)
	}
	golden := filepath.Join("testdata", "doks.golden.yaml")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("values changed (-want +got); go test ./internal/platform -update, when that is meant:\n%s", diff)
	}
}

func TestCertificatesAreLeftOutWithoutAnIssuer(t *testing.T) {
	plain := *cloud
	plain.LoadBalancer = &provider.LoadBalancer{}
	if got := parts(&plain); len(got) != 1 || got[0].name != "nginx-ingress" {
		t.Errorf("parts are %v, want the ingress controller alone", got)
	}
}

// ociRegistry serves one chart by the OCI distribution protocol.
func ociRegistry(t *testing.T, repository, tag string, content []byte) (host string) {
	t.Helper()
	blobs := map[string][]byte{}
	descriptor := func(mediaType string, data []byte) map[string]any {
		sum := sha256.Sum256(data)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		blobs[digest] = data
		return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(data)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor(registry.ConfigMediaType, []byte(`{"name":"small","version":"1.2.3","apiVersion":"v2"}`)),
		"layers": []any{descriptor(registry.ChartLayerMediaType, content)},
	})
	if err != nil {
		t.Fatal(err)
	}
	root := descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if last == tag {
			last = root["digest"].(string)
		}
		data, ok := blobs[last]
		if !ok || !strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		}
		w.Header().Set("Docker-Content-Digest", last)
		w.Write(data)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestChartsAreFetchedFromRegistries(t *testing.T) {
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	files := tar.NewWriter(compressed)
	for name, text := range map[string]string{
		"small/Chart.yaml": "apiVersion: v2\nname: small\nversion: 1.2.3\n", "small/templates/a.yaml": "kind: ConfigMap\n",
	} {
		if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	files.Close()
	compressed.Close()

	host := ociRegistry(t, "charts/small", "1.2.3", archive.Bytes())
	found, err := published{host + "/charts/small", "1.2.3"}.pull(registry.ClientOptPlainHTTP())
	if err != nil {
		t.Fatal(err)
	}
	if found.Name() != "small" || len(found.Templates) != 1 {
		t.Errorf("got chart %s with %d templates", found.Name(), len(found.Templates))
	}
	_, err = published{host + "/charts/small", "9.9.9"}.pull(registry.ClientOptPlainHTTP())
	if err == nil || !strings.Contains(err.Error(), "fetch chart "+host+"/charts/small:9.9.9") {
		t.Errorf("the error is %v", err)
	}
}

func TestAPublishedChartIsFetchedOnlyWhenItChanged(t *testing.T) {
	p := parts(cloud)[0]
	present := func(version string, values map[string]any) *helmrelease.Release {
		return &helmrelease.Release{
			Info:   &helmrelease.Info{Status: common.StatusDeployed},
			Chart:  &chart.Chart{Metadata: &chart.Metadata{Version: version}},
			Config: stored(values),
		}
	}
	if !p.isPublished(present(nginxChart.version, p.values)) {
		t.Error("the same chart with the same values counts as changed")
	}
	if p.isPublished(present("2.6.3", p.values)) || p.isPublished(present(nginxChart.version, nil)) || p.isPublished(nil) {
		t.Error("another version or other values count as the same")
	}
}
