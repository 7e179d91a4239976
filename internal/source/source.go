// Package source finds berth's own source tree. What berth runs besides the
// application is built from it: Kubernetes from kube/, the platform's images
// from images/.
package source

import (
	"errors"
	"os"
	"path/filepath"

	"berth/internal/fault"
)

// Root returns the tree that this program was built in, or else the one that
// the working folder is in.
func Root() (string, error) {
	var candidates []string
	if program, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Dir(filepath.Dir(program)))
	}
	if dir, err := os.Getwd(); err == nil {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			candidates = append(candidates, dir)
		}
	}
	for _, candidate := range candidates {
		if _, err := os.Stat(filepath.Join(candidate, "kube", "go.mod")); err == nil {
			return candidate, nil
		}
	}
	return "", fault.WithHint(errors.New("berth's source, which Kubernetes and the platform's images are made from, is not here"),
		"run bin/berth out of a clone of berth; other applications are named by --dir")
}
