package scaffold

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"berth/internal/fault"
)

// folder is the application's, whose files are read by their names in it.
type folder struct{ dir string }

// source reads the first of some files that there is. The name is empty where
// there is none.
func (f folder) source(names ...string) (name string, text []byte, err error) {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(f.dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", nil, err
		case len(text) > maxFile:
			return "", nil, fault.Usage("%s is larger than %d MB", name, maxFile>>20)
		}
		return name, text, nil
	}
	return "", nil, nil
}

const maxFile = 1 << 20

func (f folder) exists(name string) bool {
	info, err := os.Stat(filepath.Join(f.dir, name))
	return err == nil && info.Mode().IsRegular()
}

// glob returns the names that a pattern matches.
func (f folder) glob(pattern string) []string {
	names, _ := filepath.Glob(filepath.Join(escapeGlob(f.dir), pattern))
	for i, name := range names {
		names[i], _ = filepath.Rel(f.dir, name)
	}
	return names
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
