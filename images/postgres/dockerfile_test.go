package postgres

import (
	"os"
	"strings"
	"testing"
)

// The step that installs PostgreSQL is the same in both images, so that a builder runs it
// once and a node stores it once.
func TestInstalledOnce(t *testing.T) {
	step := func(file string) string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, step, found := strings.Cut(string(content), "\nRUN groupadd --gid 999")
		step, _, ended := strings.Cut(step, "\nRUN ")
		if !found || !ended {
			t.Fatalf("%s does not have the step", file)
		}
		return step
	}
	if here, there := step("Dockerfile"), step("../backup/Dockerfile"); here != there {
		t.Errorf("images/postgres has\n%s\nand images/backup\n%s", here, there)
	}
}
