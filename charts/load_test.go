package charts

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// The binary carries every file of every chart, but not what "helm dependency
// build" leaves there.
func TestEmbedsEveryFile(t *testing.T) {
	for _, name := range names(t) {
		embedded, err := read(name)
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, file := range embedded {
			files = append(files, file.Name)
		}
		err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			if path == filepath.Join(name, "charts") {
				return filepath.SkipDir
			}
			if err != nil || entry.IsDir() || entry.Name() == "Chart.lock" {
				return err
			}
			if file := filepath.ToSlash(strings.TrimPrefix(path, name+string(filepath.Separator))); !slices.Contains(files, file) {
				t.Errorf("%s is not embedded: charts.go has to name it", path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoad(t *testing.T) {
	for _, name := range names(t) {
		c, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name() != name {
			t.Errorf("the chart in %s is called %s", name, c.Name())
		}
	}
	for _, name := range []string{"", ".", "testdata", "nothing", "../charts/realworld"} {
		if _, err := Load(name); err == nil {
			t.Errorf("Load(%q) succeeds", name)
		}
	}
}

// A dependency is the chart beside it, in a version that Chart.yaml accepts.
func TestLoadResolvesDependencies(t *testing.T) {
	c, err := Load("realworld")
	if err != nil {
		t.Fatal(err)
	}
	if got := dependencies(c); !slices.Equal(got, []string{"postgres", "service"}) {
		t.Fatalf("realworld depends on %v, want postgres and service", got)
	}
	values := map[string]any{"postgresql": map[string]any{"enabled": true}}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		t.Fatal(err)
	}
	if got := dependencies(c); !slices.Equal(got, []string{"postgresql", "services"}) {
		t.Errorf("with postgresql.enabled there are %v, want both under their aliases", got)
	}
	// Helm changed the chart; the next one to ask must not get that.
	again, err := Load("realworld")
	if err != nil {
		t.Fatal(err)
	}
	if got := dependencies(again); !slices.Equal(got, []string{"postgres", "service"}) {
		t.Errorf("a second Load gives dependencies %v, want them as they were", got)
	}
}

// What "helm lint" says of each chart, with its own values and with each case's.
func TestLint(t *testing.T) {
	values := map[string]map[string]any{"defaults": {}}
	for _, c := range cases {
		values[c.name] = readValues(t, c.name)
	}
	for _, name := range names(t) {
		c, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := chartutil.SaveDir(c, dir); err != nil {
			t.Fatal(err)
		}
		for _, with := range slices.Sorted(maps.Keys(values)) {
			if with != "defaults" && name != "realworld" {
				continue
			}
			result := lint.RunAll(filepath.Join(dir, name), values[with], "default")
			for _, message := range result.Messages {
				if message.Severity >= support.WarningSev {
					t.Errorf("%s with %s: %s", name, with, message)
				}
			}
		}
	}
}

// names lists the charts: the folders with a Chart.yaml.
func names(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal(os.ErrNotExist)
	}
	for i, file := range found {
		found[i] = filepath.Dir(file)
	}
	return found
}

func dependencies(c *chart.Chart) []string {
	var names []string
	for _, dependency := range c.Dependencies() {
		names = append(names, dependency.Name())
	}
	return names
}
