package scaffold

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"berth/internal/config"
	"berth/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFolders drafts the berth.yaml of each folder in testdata, an archive in
// txtar's format, and compares it and the notes with what the archive says.
func TestFolders(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("there are no archives", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "shop")
			want := map[string]string{}
			kept := &txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if f.Name == "want/berth.yaml" || f.Name == "want/notes" {
					want[f.Name] = string(f.Data)
					continue
				}
				kept.Files = append(kept.Files, f)
				write(t, filepath.Join(dir, f.Name), string(f.Data))
			}
			d, err := Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			source := d.YAML()
			if err := config.Check(source); err != nil {
				t.Errorf("%v in\n%s", err, source)
			}
			var notes strings.Builder
			notes.WriteString("from " + strings.Join(d.Sources, ", ") + "\n")
			for _, n := range d.Notes {
				notes.WriteString(n.String() + "\n")
			}
			got := map[string]string{"want/berth.yaml": string(source), "want/notes": notes.String()}
			if *update {
				for _, name := range []string{"want/berth.yaml", "want/notes"} {
					kept.Files = append(kept.Files, txtar.File{Name: name, Data: []byte(got[name])})
				}
				if err := os.WriteFile(name, txtar.Format(kept), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" && !*update {
				t.Error(diff)
			}
		})
	}
}

func TestAFolderThatSaysNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "A=b\n")
	if d, err := Read(dir); !fault.IsUsage(err) || fault.Hint(err) == "" {
		t.Errorf("got %+v, %v", d, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
