package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/provider"
	"berth/internal/source"
)

// Every Dockerfile of berth's own says what takes the place of its stage.
func TestOwnProgramsAreThoseOfTheirDockerfiles(t *testing.T) {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "images", "*", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		own, ok := ownProgram(provider.Build{Dockerfile: file})
		if ok == (name == "realworld") { // the application is built like any other
			t.Errorf("%s is berth's own: %v", name, ok)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if own.path != "" && !strings.Contains(string(content), "COPY --from=build /"+own.path+" ") {
			t.Errorf("images/%s copies no /%s from its stage build", name, own.path)
		}
		if own.path != "" && !strings.Contains(string(content), " -o /"+own.path+" ") {
			t.Errorf("images/%s compiles no /%s", name, own.path)
		}
	}
	if _, ok := ownProgram(provider.Build{Dockerfile: "/elsewhere/images/ingress/Dockerfile"}); ok {
		t.Error("an application's image passes for berth's own")
	}
}
