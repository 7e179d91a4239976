package image

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"berth/internal/provider"
)

// What changes a build's inputs, and what does not.
func TestInputs(t *testing.T) {
	write := func(folder, name, content string) {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now().Add(-time.Hour)
	made := func() provider.Build {
		folder := t.TempDir()
		write(folder, "Dockerfile", "FROM scratch\nCOPY . /\n")
		write(folder, ".dockerignore", "*.log\nvendor/*\n!vendor/kept\n")
		write(folder, "main.go", "package main")
		write(folder, "debug.log", "x")
		write(folder, "vendor/kept", "x")
		write(folder, "vendor/left", "x")
		write(folder, ".env", "A=b")
		if err := os.Symlink("main.go", filepath.Join(folder, "link")); err != nil {
			t.Fatal(err)
		}
		return provider.Build{Name: "app", Dockerfile: filepath.Join(folder, "Dockerfile"), Context: folder, Ignore: []string{".env", "berth.yaml"}}
	}
	for name, test := range map[string]struct {
		change  func(*provider.Build)
		changes bool
	}{
		"nothing":                  {func(*provider.Build) {}, false},
		"a file's content":         {func(b *provider.Build) { write(b.Context, "main.go", "package next") }, true},
		"content of the same size": {func(b *provider.Build) { write(b.Context, "main.go", "package mine") }, true},
		"a new file":               {func(b *provider.Build) { write(b.Context, "sub/new.go", "") }, true},
		"a file less":              {func(b *provider.Build) { os.Remove(filepath.Join(b.Context, "main.go")) }, true},
		"a mode":                   {func(b *provider.Build) { os.Chmod(filepath.Join(b.Context, "main.go"), 0o755) }, true},
		"where a link leads": {func(b *provider.Build) {
			os.Remove(filepath.Join(b.Context, "link"))
			os.Symlink("other", filepath.Join(b.Context, "link"))
		}, true},
		"what is left out":          {func(b *provider.Build) { write(b.Context, "debug.log", "yyy"); write(b.Context, "vendor/left", "yyy") }, false},
		"what an exception brings":  {func(b *provider.Build) { write(b.Context, "vendor/kept", "yyy") }, true},
		"configuration":             {func(b *provider.Build) { write(b.Context, ".env", "A=c"); write(b.Context, "berth.yaml", "name: app") }, false},
		"the Dockerfile":            {func(b *provider.Build) { write(b.Context, "Dockerfile", "FROM scratch\nCOPY . /app\n") }, true},
		"what is left out, other":   {func(b *provider.Build) { write(b.Context, ".dockerignore", "*.log\n") }, true},
		"an argument":               {func(b *provider.Build) { b.Args = map[string]string{"VERSION": "2"} }, true},
		"the target":                {func(b *provider.Build) { b.Target = "debug" }, true},
		"the platform":              {func(b *provider.Build) { b.Platform = "linux/arm64" }, true},
		"a secret, as for BuildKit": {func(b *provider.Build) { b.Secrets = map[string]string{"token": "x"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := made()
			err := filepath.WalkDir(b.Context, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.Type().IsRegular() {
					err = os.Chtimes(path, began, began)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			before, err := Inputs(b)
			if err != nil || before == "" {
				t.Fatalf("got %q, %v", before, err)
			}
			test.change(&b)
			after, err := Inputs(b)
			if err != nil {
				t.Fatal(err)
			}
			if changed := before != after; changed != test.changes {
				t.Errorf("changed: %v, want %v", changed, test.changes)
			}
		})
	}
}

// A build that fetches may make another image of the same inputs.
func TestInputsOfWhatIsFetchedAreUnknown(t *testing.T) {
	for line, unknown := range map[string]bool{
		"ADD app.tar /":                                              false,
		"ADD https://example.com/app.tar /":                          true,
		"ADD git@example.com:me/app.git /":                           true,
		"ADD --checksum=sha256:" + zeros + " http://example.com/a /": true,
		"ARG FROM_WHERE\nADD $FROM_WHERE /":                          true,
		"FETCH something":                                            true,
	} {
		folder := t.TempDir()
		b := provider.Build{Dockerfile: filepath.Join(folder, "Dockerfile"), Context: folder}
		if err := os.WriteFile(b.Dockerfile, []byte("FROM scratch\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		inputs, err := Inputs(b)
		if err != nil || (inputs == "") != unknown {
			t.Errorf("%s: got %q, %v", line, inputs, err)
		}
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
