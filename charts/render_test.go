package charts

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// cases are whole releases: testdata/<name>.values.yaml rendered as release
// and namespace gives testdata/<name>.golden.yaml.
var cases = []struct{ name, release, namespace string }{
	{"staging", "realworld", "staging"},
	{"production", "realworld", "production"},
	{"tiny", "hello", "production"},
	{"digitalocean", "realworld", "production"},
	{"shop", "shop", "production"},
	{"mailer", "mailer", "production"},
}

func TestRender(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := render(t, "realworld", c.release, c.namespace, readValues(t, c.name))
			wantGolden(t, c.name+".golden.yaml", got)
		})
	}
}

// wantGolden compares manifests with a file of testdata; -update writes it.
func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("rendered manifests changed (-want +got); go test ./charts -update, when that is meant:\n%s", diff)
	}
}

// render gives the manifests that Helm would send, one document after the
// other in the order of their templates, and fails the test when it refuses.
func render(t testing.TB, name, release, namespace string, values map[string]any) []byte {
	t.Helper()
	c, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := renderChart(c, release, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func renderChart(c *chart.Chart, release, namespace string, values map[string]any) ([]byte, error) {
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{}.RenderWithContext(context.Background(), c, all)
	if err != nil {
		return nil, err
	}
	var templates []string
	for template, text := range rendered {
		if strings.HasSuffix(template, ".yaml") && strings.TrimSpace(text) != "" {
			templates = append(templates, template)
		}
	}
	slices.Sort(templates)
	var out bytes.Buffer
	for _, template := range templates {
		out.WriteString("---\n" + strings.TrimSpace(rendered[template]) + "\n")
	}
	return out.Bytes(), nil
}

// readValues reads testdata/<name>.values.yaml.
func readValues(t testing.TB, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(data, &values); err != nil {
		t.Fatal(err)
	}
	return values
}
