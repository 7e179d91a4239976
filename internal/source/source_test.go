package source

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The command carries its source along: what is unpacked is what was packed, and
// packing it again gives the same.
func TestPackedSource(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := Pack(root, &archive); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	folder, err := unpacked(archive.Bytes(), cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "kube/go.mod", "collector/go.mod", "images/postgres/entrypoint.sh", "cmd/backup/main.go", "internal/source/packed/README"} {
		want, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not as it was: %v", name, err)
		}
	}
	if !isRoot(folder) {
		t.Error("it is not taken for berth's source")
	}
	for module, program := range map[string]string{".": "./cmd/backup", "kube": ".", "collector": "."} {
		command := exec.Command("go", "list", program)
		command.Dir = filepath.Join(folder, module)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s of %s is not whole: %v\n%s", program, module, err, output)
		}
	}
	var again bytes.Buffer
	if err := Pack(folder, &again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Error("packed again it is not the same")
	}
	if other, err := unpacked(archive.Bytes(), cache); err != nil || other != folder {
		t.Errorf("unpacked again in %s: %v", other, err)
	}
	left, err := os.ReadDir(filepath.Dir(folder))
	if err != nil || len(left) != 1 {
		t.Errorf("left beside it: %v, %v", left, err)
	}
}

// What was cut off appears nowhere.
func TestADamagedArchive(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := Pack(root, &archive); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	if folder, err := unpacked(archive.Bytes()[:archive.Len()/2], cache); err == nil || !strings.Contains(err.Error(), "unpack berth's source") {
		t.Errorf("unpacked in %s: %v", folder, err)
	}
	left, err := os.ReadDir(filepath.Join(cache, "source"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Somebody's repository may have a folder kube with a module in it.
func TestOthersTreesAreNotBerths(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module shop\n", "kube/go.mod": "module shop/kube\n"} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if isRoot(folder) {
		t.Error("it is taken for berth's source")
	}
}
