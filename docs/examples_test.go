package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"berth/internal/config"
)

// What a page shows as a whole berth.yaml is one, so that a reader may begin with it.
func TestExamplesAreValid(t *testing.T) {
	whole := regexp.MustCompile("(?ms)^( *)```yaml\n( *name: .*?)^ *```")
	found := 0
	for page, text := range pages(t) {
		for _, example := range whole.FindAllStringSubmatch(text, -1) {
			found++
			folder := t.TempDir()
			// In a list it is indented.
			content := regexp.MustCompile("(?m)^"+example[1]).ReplaceAllString(example[2], "")
			for name, content := range map[string]string{config.File: content, "Dockerfile": "FROM scratch\n"} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := config.Load(folder, nil)
			if err == nil {
				err = c.Validate()
			}
			if err != nil {
				first, _, _ := strings.Cut(content, "\n")
				t.Errorf("%s, %q: %v", page, first, err)
			}
		}
	}
	if found < 3 {
		t.Errorf("there are only %d examples", found)
	}
}
