package config

import (
	"os"
	"path/filepath"
	"testing"

	"berth/internal/fault"
)

func TestFilesOfSecretsMustBePrivate(t *testing.T) {
	for _, name := range []string{".env", ".s3cfg"} {
		dir := folder(t, map[string]string{File: minimal, name: ""})
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir, nil)
		if !fault.IsUsage(err) || fault.Hint(err) != "chmod 600 "+name {
			t.Errorf("%s: got %v, hint %q", name, err, fault.Hint(err))
		}
	}
}
