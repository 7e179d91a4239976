package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// context writes files below a folder, by their paths.
func contextOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
	}
	return folder
}

// private are files that must never be in an image, and what could bring them
// back.
var private = map[string]map[string]string{
	"no .dockerignore":            {},
	".dockerignore with a !":      {".dockerignore": "*\n!.env\n!berth.yaml\n!sub\n!hello"},
	"Dockerfile.dockerignore":     {"Dockerfile.dockerignore": "!.env\n!berth.yaml", ".dockerignore": "*"},
	"no newline, and a byte mark": {".dockerignore": "\ufeff!.env"},
}

func privateContext(t *testing.T, more map[string]string) provider.Build {
	t.Helper()
	folder := contextOf(t, map[string]string{
		".env": "SECRET=1\n", "berth.yaml": "name: app\n", "hello": "hello\n", "sub/.env": "the user's own\n",
		"Dockerfile": "FROM scratch\nCOPY . /\n",
	})
	for name, text := range more {
		write(t, filepath.Join(folder, name), text)
	}
	return provider.Build{
		Name: "app", Dockerfile: filepath.Join(folder, "Dockerfile"), Context: folder, Ignore: []string{".env", "berth.yaml"},
	}
}

// buildah is the one of the three that a test can have; docker finds the same
// file by its name, podman takes the same flag.
func TestConfigurationNeverEntersAnImage(t *testing.T) {
	for name, more := range private {
		t.Run(name, func(t *testing.T) {
			b, from := buildah(t), privateContext(t, more)
			build := func() string {
				t.Helper()
				reference, err := b.Build(t.Context(), from, "localhost/berth/app", progress.Discard)
				if err != nil {
					t.Fatal(err)
				}
				return reference
			}
			first := build()
			write(t, filepath.Join(from.Context, ".env"), "SECRET=2\n")
			write(t, filepath.Join(from.Context, "berth.yaml"), "name: other\n")
			if again := build(); again != first {
				t.Error("a change of configuration alone makes another image")
			}
			write(t, filepath.Join(from.Context, "sub", ".env"), "changed\n")
			if again := build(); again == first {
				t.Error("a file of the user's own, sub/.env, is left out too")
			}
		})
	}
}

func TestRecipeIsACopyWithTheIgnoreFileBesideIt(t *testing.T) {
	from := privateContext(t, map[string]string{".dockerignore": "node_modules\n!.env"})
	r, err := newRecipe(from, t.TempDir(), ".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(r.dockerfile + ".dockerignore")
	if want := "node_modules\n!.env\n.env\nberth.yaml\n"; err != nil || string(content) != want {
		t.Errorf("got %q, %v; want %q", content, err, want)
	}
	if info, err := os.Stat(r.folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is open to others: %v, %v", info, err)
	}
}

func TestSecretsAreNeverArguments(t *testing.T) {
	from := privateContext(t, nil)
	from.Secrets = map[string]string{"NPM_TOKEN": "tops3cret", "KEY": "line one\nline two\n"}
	r, err := newRecipe(from, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	flags, environment := r.secrets()
	if got := strings.Join(flags, " "); got != "--secret id=KEY,env=BERTH_BUILD_SECRET_0 --secret id=NPM_TOKEN,env=BERTH_BUILD_SECRET_1" {
		t.Errorf("flags %s", got)
	}
	if got := strings.Join(environment, " "); got != "BERTH_BUILD_SECRET_0=line one\nline two\n BERTH_BUILD_SECRET_1=tops3cret" {
		t.Errorf("environment %q", got)
	}
	flags, err = r.secretFiles()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(flags, " "), "tops3cret") {
		t.Errorf("flags %v", flags)
	}
	file := strings.TrimPrefix(flags[3], "id=NPM_TOKEN,src=")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", file, info, err)
	}
}

func TestSecretsReachABuildAndNoLog(t *testing.T) {
	from := source(t, "FROM scratch\nCOPY hello /\n")
	from.Secrets = map[string]string{"NPM_TOKEN": "tops3cret"}
	folder := programs(t, map[string]string{
		"podman": `for a; do case $a in id=NPM_TOKEN,src=*) cat "${a#id=NPM_TOKEN,src=}";; esac; done; echo; exit 1`,
		"docker": `echo "$* $BERTH_BUILD_SECRET_0"; exit 1`,
	})
	for _, tool := range []string{"docker", "podman"} {
		watch := &details{}
		b := &Builder{tool: tool, path: filepath.Join(folder, tool)}
		_, err := b.Build(t.Context(), from, "app", watch)
		if err == nil || !strings.Contains(err.Error(), "***") {
			t.Errorf("%s: the secret did not arrive: %v", tool, err)
		}
		if said := strings.Join(watch.seen, "\n") + err.Error(); strings.Contains(said, "tops3cret") {
			t.Errorf("%s shows the secret: %s", tool, said)
		}
	}
}

func TestMaskHidesEveryLineOfASecret(t *testing.T) {
	hide := mask(map[string]string{"KEY": "-----BEGIN-----\nabcdef\n", "SHORT": "1"})
	if got := hide.Replace("1: -----BEGIN----- and abcdef"); got != "1: *** and ***" {
		t.Error(got)
	}
}

func TestExplainSaysWhatToDo(t *testing.T) {
	r := recipe{build: provider.Build{Ignore: []string{".env", "berth.yaml"}}}
	for _, test := range []struct{ said, hint string }{
		{`failed to compute cache key: "/.env": not found`, "never enters a build"},
		{`RUN npm ci: secret NPM_TOKEN: not found`, "build.secrets: [NPM_TOKEN]"},
		{`"/dist": not found`, ""},
		{`exit status 1`, ""},
	} {
		if hint := fault.Hint(r.explain(errors.New(test.said))); !strings.Contains(hint, test.hint) || (test.hint == "") != (hint == "") {
			t.Errorf("%s: hint %q, want %q", test.said, hint, test.hint)
		}
	}
}
