// Package charts holds berth's Helm charts and carries them in the binary, so
// that every berth releases with the charts it was tested with.
//
// Each folder is a chart that plain Helm takes too. A dependency between them
// is a "file://" repository in Chart.yaml; [Load] resolves it from here, so no
// packed copy is kept beside the sources. docs/charts.md tells of the charts
// and their values.
package charts

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// The parts of a chart are named one by one to leave out testdata; "all:"
// takes the templates whose names begin with an underscore.
//
//go:embed all:*/Chart.yaml all:*/values.yaml all:*/values.schema.json all:*/templates/*
var files embed.FS

// Load returns the chart of that name with its dependencies. Every call
// returns a chart of its own, as Helm changes the charts it installs.
func Load(name string) (*chart.Chart, error) {
	if strings.ContainsAny(name, "/.") {
		return nil, fmt.Errorf("load chart: %q is not a chart's name", name)
	}
	buffered, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("load chart %s: %w", name, err)
	}
	c, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, fmt.Errorf("load chart %s: %w", name, err)
	}
	for _, dependency := range c.Metadata.Dependencies {
		folder, local := strings.CutPrefix(dependency.Repository, "file://../")
		if !local {
			return nil, fmt.Errorf("load chart %s: dependency %s is not one of berth's charts: %s", name, dependency.Name, dependency.Repository)
		}
		d, err := Load(folder)
		if err != nil {
			return nil, fmt.Errorf("load chart %s: %w", name, err)
		}
		c.AddDependency(d)
	}
	return c, nil
}

// read returns the files of a chart by their paths in it.
func read(name string) ([]*archive.BufferedFile, error) {
	var buffered []*archive.BufferedFile
	err := fs.WalkDir(files, name, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		buffered = append(buffered, &archive.BufferedFile{Name: strings.TrimPrefix(file, name+"/"), Data: data})
		return nil
	})
	return buffered, err
}
