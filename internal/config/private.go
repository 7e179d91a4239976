package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"berth/internal/fault"
)

// readPrivate reads a file of secrets, which nobody but its owner may read. A
// file that is not there is an empty one.
func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The open file is what is looked at, so that it cannot be another one by
	// the time it is read.
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		name := filepath.Base(path)
		return nil, fault.WithHint(
			fault.Usage("%s holds secrets, and users other than its owner can access it (mode %04o)", name, mode),
			"chmod 600 %s", name)
	}
	return io.ReadAll(file)
}
