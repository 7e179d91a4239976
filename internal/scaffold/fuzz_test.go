package scaffold

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"berth/internal/config"
)

// FuzzRead checks that whatever the files of a folder hold, the berth.yaml made
// of them is one that berth takes, or there is a usage error; and that a value
// of .env is in no part of the result.
func FuzzRead(f *testing.F) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		files := map[string]string{}
		for _, file := range archive.Files {
			files[filepath.Base(file.Name)] = string(file.Data)
		}
		f.Add(files["Dockerfile"], files["Procfile"], files["compose.yaml"]+files["compose.yml"]+files["docker-compose.yml"]+files["docker-compose.yaml"],
			files["app.json"], files[".env.example"], files["deploy.yml"])
	}
	f.Add("FROM a\nENV A", "web:x", "services: {a: {build: .}}", `{"env": {"A": 1}}`, "A='\n", "servers: {job: {cmd: 'a && b'}}\nvolumes: [a]")
	f.Fuzz(checkFolder)
}

func checkFolder(t *testing.T, dockerfile, procfile, compose, app, sample, kamal string) {
	if dockerfile == "" {
		dockerfile = "FROM scratch\n"
	}
	if strings.Contains(compose, "include") || strings.Contains(compose, "extends") || strings.Contains(compose, "file") {
		return // it names other files, and those of the machine must have no part in this
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Dockerfile": dockerfile, "Procfile": procfile, "compose.yaml": compose, "app.json": app, ".env.sample": sample, "config/deploy.yml": kamal,
		".env": "HUNTER_ONE=hunter2-is-secret\nLOG='hunter2-is-long'\n",
	} {
		if text == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	source := d.YAML()
	if err := config.Check(source); err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	told := string(source)
	for _, n := range d.Notes {
		told += n.String()
	}
	if strings.Contains(told, "hunter2-is") {
		t.Errorf("a value of .env is told:\n%s", told)
	}
}
