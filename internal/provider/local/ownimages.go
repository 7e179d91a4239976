package local

import (
	"path/filepath"
	"runtime"
	"strings"

	"berth/internal/compile"
	"berth/internal/prebuilt"
	"berth/internal/provider"
	"berth/internal/source"
)

// program is what one of berth's own images holds: a Go program that the stage
// "build" of its Dockerfile compiles, or none.
type program struct {
	image string
	// module is the folder of its module, and source the package in it.
	module, source string
	// path is where the stage "build" leaves it.
	path string
	// runs says that the other stages run programs, of Debian's packages.
	runs bool
}

var ownPrograms = []program{
	{image: "pause", module: "kube", source: "./pause", path: "pause"},
	{image: "ingress", source: "./cmd/ingress", path: "out/ingress", runs: true},
	{image: "postgres", runs: true},
	{image: "valkey", runs: true},
	{image: "backup", source: "./cmd/backup", path: "out/backup", runs: true},
	{image: "watch", source: "./cmd/watch", path: "out/watch"},
	{image: "collector", module: "collector", source: ".", path: "collector"},
	{image: "metrics", module: "metrics", source: compile.VictoriaMetrics("").Package, path: "out/victoria-metrics"},
}

// ownProgram returns the program of an image of berth's own.
func ownProgram(b provider.Build) (program, bool) {
	root, err := source.Root()
	if err != nil {
		return program{}, false // an application's build needs none of it
	}
	for _, p := range ownPrograms {
		if b.Dockerfile == filepath.Join(root, "images", p.image, "Dockerfile") {
			p.module = filepath.Join(root, p.module)
			return p, true
		}
	}
	return program{}, false
}

// ownBuilds are the images that the cluster itself runs.
func ownBuilds(root string, release *prebuilt.Release) []provider.Build {
	var builds []provider.Build
	for _, name := range []string{"pause", "ingress", "postgres"} {
		b := ownBuild(root, name)
		b.Prebuilt = release
		builds = append(builds, b)
	}
	return builds
}

func ownBuild(root, name string) provider.Build {
	folder := filepath.Join(root, "images", name)
	b := provider.Build{Name: name, Dockerfile: filepath.Join(folder, "Dockerfile"), Context: root}
	if name == "postgres" { // it takes nothing of berth's source
		b.Context = folder
	}
	return b
}

// architecture is the processor's name in a platform, or this machine's.
func architecture(platform string) string {
	if _, arch, ok := strings.Cut(platform, "/"); ok {
		return arch
	}
	return runtime.GOARCH
}
