package terraform

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/fault"
	"berth/internal/progress"
)

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestProgram(t *testing.T) {
	cached := filepath.Join("cache", TofuVersion, "tofu")
	for name, test := range map[string]struct {
		there []string
		want  string
	}{
		"terraform comes first":    {[]string{"bin/terraform", "bin/tofu", cached}, "bin/terraform"},
		"then tofu":                {[]string{"bin/tofu", cached}, "bin/tofu"},
		"then what was compiled":   {[]string{cached}, cached},
		"another version does not": {[]string{"cache/v1.0.0/tofu", cached}, cached},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, path := range test.there {
				script(t, filepath.Join(dir, path), "")
			}
			t.Setenv("PATH", filepath.Join(dir, "bin"))
			got, err := Program(t.Context(), filepath.Join(dir, "cache"), progress.Discard)
			if err != nil || got != filepath.Join(dir, test.want) {
				t.Errorf("the program is %s, %v", got, err)
			}
		})
	}
}

// A fake of the go command shows what it is asked to do, without the minutes
// that compiling takes.
func TestCompile(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	goCommand := func(sum string) {
		script(t, filepath.Join(dir, "bin", "go"), `
echo "$@" >> `+dir+`/log
case $1 in
mod) echo '{"Dir": "`+source+`", "Sum": "`+sum+`"}' ;;
build) pwd >> `+dir+`/log; while [ "$1" != -o ]; do shift; done; echo program > "$2"; chmod 755 "$2" ;;
esac`)
	}
	chmod, err := exec.LookPath("chmod")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(dir, "bin"))
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(chmod, filepath.Join(dir, "bin", "chmod")); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(dir, "cache")

	_, err = Program(t.Context(), cache, progress.Discard)
	if err == nil || !strings.Contains(fault.Hint(err), "install") {
		t.Errorf("without go the error is %v, with the hint %q", err, fault.Hint(err))
	}
	goCommand("h1:another")
	if _, err := Program(t.Context(), cache, progress.Discard); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("another source is taken: %v", err)
	}
	goCommand(tofuSum)
	for range 2 {
		got, err := Program(t.Context(), cache, progress.Discard)
		if err != nil || got != filepath.Join(cache, TofuVersion, "tofu") {
			t.Fatalf("the program is %s, %v", got, err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(log), "build -trimpath"); got != 1 {
		t.Errorf("it was compiled %d times:\n%s", got, log)
	}
	if !strings.Contains(string(log), source+"\n") {
		t.Errorf("it was not compiled in the module's folder:\n%s", log)
	}
}
