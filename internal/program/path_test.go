package program

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"testing"
)

func TestPathHasAdministratorsPrograms(t *testing.T) {
	for name, path := range map[string]string{
		"an ordinary user of Debian": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
		"root":                       "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"nothing":                    "",
	} {
		t.Run(name, func(t *testing.T) {
			folders := filepath.SplitList(Path([]string{"PATH=" + path}))
			for _, folder := range []string{"/usr/sbin", "/sbin"} {
				if n := len(slices.DeleteFunc(slices.Clone(folders), func(f string) bool { return f != folder })); n != 1 {
					t.Errorf("%s is there %d times: %v", folder, n, folders)
				}
			}
			if before := filepath.SplitList(path); !slices.Equal(folders[:len(before)], before) {
				t.Errorf("%v does not begin with %v", folders, before)
			}
		})
	}
}

// What sudo's secure_path leaves out is found in the home of the user who called it,
// and a go that the PATH has goes before any other.
func TestPathFindsGo(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	mine := filepath.Join(home, "sdk", "go1.26.8", "bin")
	install(t, mine)
	if !slices.ContainsFunc(filepath.SplitList(Path([]string{"PATH=/nowhere"})), holdsGo) {
		t.Error("go is not found in the home folder's sdk")
	}
	chosen := t.TempDir()
	install(t, chosen)
	folders := filepath.SplitList(Path([]string{"PATH=" + chosen}))
	if slices.Contains(folders, mine) || folders[0] != chosen {
		t.Errorf("the PATH has a go already, and became %v", folders)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if places := goFolders(me.Username); !slices.Contains(places, filepath.Join(me.HomeDir, "go", "bin")) {
		t.Errorf("the home of sudo's caller is not looked at: %v", places)
	}
}

func install(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
