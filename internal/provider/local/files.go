package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// existingParent is the nearest folder of a path that is there.
func existingParent(path string) string {
	for !exists(path) {
		path = filepath.Dir(path)
	}
	return path
}

// exists reports whether a file is there, for steps that are done once.
func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// replaceFile writes a file in one step: after an interruption the old content
// is there or the new, never a part.
func replaceFile(name string, content []byte, mode os.FileMode) error {
	temporary := name + ".new"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return err
	}
	if err := os.Chmod(temporary, mode); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

// removeEmptyFolders removes folder where nothing but folders is left in it:
// somebody else's files stay.
func removeEmptyFolders(folder string) {
	var folders []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return fs.SkipAll
		}
		folders = append(folders, path)
		return nil
	})
	if err != nil {
		return
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if os.Remove(folders[i]) != nil { // not empty
			return
		}
	}
}
