// Package program finds programs that a PATH may leave out: the administrator's,
// which are not in an ordinary user's PATH on Debian, and Go, which is not in sudo's
// secure_path. Look them up in the PATH that [Path] returns.
package program

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// sbin are the folders of programs for administrators, as root's PATH has them.
var sbin = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// Path returns the PATH of environ with the folders appended that are not in
// it: those of administrators' programs, and of Go where the PATH has none.
// What the PATH has goes first.
func Path(environ []string) string {
	var path, sudoUser string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH":
			path = value
		case "SUDO_USER":
			sudoUser = value
		}
	}
	folders := filepath.SplitList(path)
	add := func(folder string) {
		if !slices.Contains(folders, folder) && isFolder(folder) {
			folders = append(folders, folder)
		}
	}
	for _, folder := range sbin {
		add(folder)
	}
	if !slices.ContainsFunc(folders, holdsGo) {
		for _, folder := range goFolders(sudoUser) {
			if holdsGo(folder) {
				add(folder)
				break
			}
		}
	}
	return strings.Join(folders, string(filepath.ListSeparator))
}

// goFolders are where Go's own instructions, Debian, Ubuntu and the usual
// version managers put the go command: of the machine, then of the user who called
// sudo, then of the user at work.
func goFolders(sudoUser string) []string {
	folders := []string{"/usr/local/go/bin", "/usr/lib/go/bin", "/snap/bin", "/opt/go/bin"}
	versions := []string{"/usr/lib/go-1.*/bin"}
	var homes []string
	if u, err := user.Lookup(sudoUser); sudoUser != "" && err == nil {
		homes = append(homes, u.HomeDir)
	}
	if home, err := os.UserHomeDir(); err == nil {
		homes = append(homes, home)
	}
	for _, home := range homes {
		folders = append(folders,
			filepath.Join(home, "go", "bin"),
			filepath.Join(home, ".local", "go", "bin"),
			filepath.Join(home, ".local", "bin"),
			filepath.Join(home, ".asdf", "shims"),
			filepath.Join(home, ".local", "share", "mise", "shims"))
		versions = append(versions,
			filepath.Join(home, "sdk", "go1.*", "bin"),
			filepath.Join(home, ".goenv", "versions", "*", "bin"))
	}
	for _, pattern := range versions {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // a home with a bracket in its name
		}
		slices.Reverse(found) // the newest first, near enough
		folders = append(folders, found...)
	}
	return folders
}

func holdsGo(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, "go"))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
