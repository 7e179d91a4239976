package scaffold

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestComposeThatCannotBeReadIsSaid(t *testing.T) {
	for source, want := range map[string]string{
		"services: [a]\n":                          "compose.yaml: is not read: ",
		"services: {a: {build: ., ports: [x]}}\n":  "compose.yaml: is not read: ",
		"services: {a: {build: ., nonsense: 1}}\n": "compose.yaml: is not read: ",
		"a: b: c\n": "compose.yaml: is not read: ",
		"include: [https://example.com/compose.yaml]\n": "compose.yaml: is not read: ",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM a\nEXPOSE 80\n")
		write(t, filepath.Join(dir, "compose.yaml"), source)
		d, err := Read(dir)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if len(d.Notes) != 1 || !strings.HasPrefix(d.Notes[0].String(), want) || strings.Contains(d.Notes[0].String(), dir) || d.Port != 80 {
			t.Errorf("%s: got %q, port %d", source, d.Notes, d.Port)
		}
	}
}
