package config

import (
	"path/filepath"
	"strings"
)

// Ignored returns patterns of .dockerignore for berth's own files in the build
// context of the application: they contain secrets, and a change of them must not
// make another image. Files of these names elsewhere in the context belong to the
// application.
func (c *Config) Ignored() []string {
	context, err := filepath.EvalSymlinks(c.Path(c.Context))
	if err != nil {
		context = c.Path(c.Context)
	}
	dir, err := filepath.EvalSymlinks(c.Dir)
	if err != nil {
		dir = c.Dir
	}
	below, err := filepath.Rel(context, dir)
	if err != nil || below == ".." || strings.HasPrefix(below, "../") {
		return nil
	}
	var patterns []string
	for _, name := range []string{".env", ".s3cfg", File} {
		patterns = append(patterns, escapePattern(filepath.Join(below, name)))
	}
	return patterns
}

// escapePattern makes a path a pattern that it alone matches.
func escapePattern(path string) string {
	var pattern strings.Builder
	for i, c := range path {
		if strings.ContainsRune(`*?[]\`, c) || i == 0 && strings.ContainsRune("!# ", c) {
			pattern.WriteByte('\\')
		}
		pattern.WriteRune(c)
	}
	return pattern.String()
}
