package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"berth/internal/compile"
	"berth/internal/image"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/local"
	"berth/internal/publish"
	"berth/internal/registrytest"
	"berth/internal/source"
)

var all = flag.Bool("whole", false, "build the whole list, which takes an hour")

// Two builds of the same source, in two folders and with nothing that the other
// has compiled, give the same release, byte for byte.
func TestTwoBuildsAreTheSame(t *testing.T) {
	key := registrytest.Key(t)
	build := small
	if *all {
		build = wholly
	}
	first, second := build(t, key), build(t, key)
	if first == "" || first != second {
		t.Errorf("one is %s, the other %s", first, second)
	}
}

var warm bool

// small makes a release of one program and one image, of a copy of the source.
// Every second time Go's cache is empty.
func small(t *testing.T, key *ecdsa.PrivateKey) string {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	for _, part := range []string{"kube/pause", "kube/go.mod", "kube/go.sum"} {
		from, to := filepath.Join(root, part), filepath.Join(copied, part)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.Command("cp", "-r", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	if warm {
		t.Setenv("GOCACHE", t.TempDir())
	}
	warm = !warm
	program := compile.Program{
		Part: prebuilt.Part{Name: "pause-program", Sources: "s"}, Title: "pause", Module: filepath.Join(copied, "kube"), Package: "./pause",
	}
	built := registrytest.Image(t)
	m := publish.Maker{
		Root: built.Context, Out: t.TempDir(), Repository: "127.0.0.1:5000/berth", Version: "v1", Key: key,
		Platforms: []string{"linux/" + runtime.GOARCH}, Reporter: progress.Discard, Export: registrytest.Export,
	}
	made, err := m.Make(t.Context(), publish.List{Programs: []compile.Program{program}, Images: []provider.Build{built}, Command: program})
	if err != nil {
		t.Fatal(err)
	}
	return made.Release.Digest.String()
}

// wholly makes all of a release, as make release does.
func wholly(t *testing.T, key *ecdsa.PrivateKey) string {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	copied, home := filepath.Join(t.TempDir(), "berth"), t.TempDir()
	if output, err := exec.Command("git", "clone", "--quiet", root, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	content, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "run", "./cmd/release", "-dry-run", "-native-images", "-repository", "127.0.0.1:5000/berth", "-version", "v1", "-key", file)
	command.Dir = copied
	command.Env = append(os.Environ(), "PWD="+copied, "SOURCE_DATE_EPOCH=1767225600", "GOCACHE="+home+"/go", "XDG_CACHE_HOME="+home+"/cache", "XDG_STATE_HOME="+home+"/state")
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`berth@(sha256:[0-9a-f]{64})`).FindString(string(output))
}

// A command that carries its source along looks for the same parts as a clone,
// though it has no tests.
func TestAnUnpackedSourceIsOfTheSameParts(t *testing.T) {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	unpacked := t.TempDir()
	archive, err := os.Create(filepath.Join(t.TempDir(), "source.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Pack(root, archive); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("tar", "--zstd", "-xf", archive.Name(), "-C", unpacked).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	parts := func(root string) map[string]string {
		list, err := whole(root)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, p := range list.Programs {
			found[p.Name] = p.Sources
		}
		for _, b := range list.Images {
			if found[b.Name], err = image.Sources(b); err != nil {
				t.Fatal(err)
			}
		}
		return found
	}
	want := parts(root)
	if got := parts(unpacked); len(want) != 3+len(local.PlatformImages(root)) || !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
