package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// buildah returns the real program with a storage of the test's own.
func buildah(t *testing.T) *Builder {
	t.Helper()
	folder := t.TempDir()
	b, err := NewBuildah(Buildah{
		Root: filepath.Join(folder, "root"), RunRoot: filepath.Join(folder, "run"),
		Driver: "vfs", Isolation: "chroot", Pull: "never",
	})
	if err != nil {
		t.Fatal(err, fault.Hint(err))
	}
	return b
}

// source writes the files of an application and returns its build.
func source(t *testing.T, dockerfile string) provider.Build {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "Dockerfile"), dockerfile)
	write(t, filepath.Join(folder, "hello"), "hello\n")
	return provider.Build{Name: "app", Dockerfile: filepath.Join(folder, "Dockerfile"), Context: folder}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const scratch = "FROM scratch\nCOPY hello /hello\n"

func TestBuildNamesTheImageByItsContent(t *testing.T) {
	b, from, ctx := buildah(t), source(t, scratch), t.Context()
	build := func() string {
		t.Helper()
		reference, err := b.Build(ctx, from, "localhost/berth/app", progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(reference, "localhost/berth/app:") {
			t.Errorf("reference %s is not of the repository", reference)
		}
		return reference
	}
	first := build()
	if again := build(); again != first {
		t.Errorf("the same source is %s once and %s again", first, again)
	}
	write(t, filepath.Join(from.Context, "hello"), "good bye\n")
	if changed := build(); changed == first {
		t.Error("a changed file changed nothing")
	}
}

// The local provider builds every image on a base of its own in this way.
func TestBuildTakesTheBaseImageFromAnArgument(t *testing.T) {
	b, ctx := buildah(t), t.Context()
	base, err := b.Build(ctx, source(t, scratch), "localhost/berth/base", progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	from := source(t, "ARG BASE=docker.io/library/debian\nFROM $BASE\nCOPY hello /again\n")
	from.Args = map[string]string{"BASE": base}
	if _, err := b.Build(ctx, from, "localhost/berth/app", progress.Discard); err != nil {
		t.Error(err)
	}
}

func TestBuildTellsWhatTheBuilderSaidLast(t *testing.T) {
	b := buildah(t)
	watch := &details{}
	_, err := b.Build(t.Context(), source(t, "FROM scratch\nCOPY missing /missing\n"), "localhost/berth/app", watch)
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Fatalf("error %v does not show the builder's output", err)
	}
	if !strings.Contains(strings.Join(watch.seen, "\n"), "STEP 1") {
		t.Errorf("the details %q lack the builder's steps", watch.seen)
	}
}

func TestBuildWithoutDockerfileIsAMistakeInTheCall(t *testing.T) {
	b := &Builder{tool: "docker", path: "docker"}
	_, err := b.Build(t.Context(), provider.Build{Name: "app", Dockerfile: "/nowhere/Dockerfile"}, "app", progress.Discard)
	if !fault.IsUsage(err) || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

// details is a reporter that remembers.
type details struct {
	mu   sync.Mutex
	seen []string
}

func (d *details) Step(string) progress.Step { return d }
func (d *details) Note(string)               {}
func (d *details) End(error)                 {}
func (d *details) Detail(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, text)
}

// programs puts shell scripts into a PATH of their own.
func programs(t *testing.T, scripts map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, script := range scripts {
		path := filepath.Join(folder, name)
		write(t, path, "#!/bin/sh\n"+script)
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder+":/bin:/usr/bin")
	return folder
}

func TestFindPassesOverABuilderThatDoesNotAnswer(t *testing.T) {
	for _, test := range []struct {
		name    string
		scripts map[string]string
		want    string
	}{
		{"docker with its daemon", map[string]string{"docker": "exit 0", "podman": "exit 0"}, "docker"},
		{"docker without its daemon", map[string]string{"docker": "test $1 != info", "podman": "exit 0"}, "podman"},
		{"buildah alone", map[string]string{"docker": "exit 1", "podman": "exit 1", "buildah": "exit 0"}, "buildah"},
		{"none", map[string]string{"docker": "exit 1", "podman": "exit 1", "buildah": "exit 1"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			programs(t, test.scripts)
			b, err := Find(t.Context())
			if test.want == "" {
				if err == nil || fault.Hint(err) == "" {
					t.Fatalf("got %v, %v; want an error with a hint", b, err)
				}
				return
			}
			if err != nil || b.String() != test.want {
				t.Errorf("got %v, %v; want %s", b, err, test.want)
			}
		})
	}
}

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestPushReturnsTheReferenceByDigest(t *testing.T) {
	for tool, script := range map[string]string{
		"docker":  `case "$1 $2" in "image inspect") echo other/app@sha256:0; echo registry:5000/me/app@` + digest + ` ;; push*) ;; *) exit 3 ;; esac`,
		"podman":  `test "$1 $2 $4" = "push --digestfile registry:5000/me/app:1" && echo ` + digest + ` > "$3"`,
		"buildah": `test "$1 $2 $4" = "push --digestfile registry:5000/me/app:1" && echo ` + digest + ` > "$3"`,
	} {
		t.Run(tool, func(t *testing.T) {
			folder := programs(t, map[string]string{tool: script})
			b := &Builder{tool: tool, path: filepath.Join(folder, tool)}
			got, err := b.Push(t.Context(), "registry:5000/me/app:1", progress.Discard)
			if want := "registry:5000/me/app@" + digest; err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestPushThatIsRefusedSaysHowToLogIn(t *testing.T) {
	folder := programs(t, map[string]string{"podman": "echo unauthorized: access denied >&2; exit 125"})
	b := &Builder{tool: "podman", path: filepath.Join(folder, "podman")}
	_, err := b.Push(t.Context(), "ghcr.io/me/app:1", progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "access denied") || !strings.Contains(fault.Hint(err), "podman login ghcr.io") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
}

func TestCancelEndsTheBuilderAndItsChildren(t *testing.T) {
	folder := programs(t, map[string]string{"podman": "sleep 600 & echo started; wait"})
	b := &Builder{tool: "podman", path: filepath.Join(folder, "podman")}
	ctx, cancel := context.WithCancel(t.Context())
	started := &onDetail{call: cancel}
	err := b.run(ctx, started, "build")
	// Had the child lived on, it would hold the output open until WaitDelay
	// ends, and the error would be exec.ErrWaitDelay.
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type onDetail struct {
	details
	call func()
}

func (o *onDetail) Detail(string) { o.call() }

func TestTheTagStandsBehindTheLastSlash(t *testing.T) {
	for reference, want := range map[string]string{
		"app:1":                     "app",
		"registry:5000/me/app":      "registry:5000/me/app",
		"registry:5000/me/app:abc1": "registry:5000/me/app",
	} {
		if got := reference[:tagAt(reference)]; got != want {
			t.Errorf("%s: got %s, want %s", reference, got, want)
		}
	}
}
