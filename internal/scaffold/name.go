package scaffold

import (
	"bufio"
	"bytes"
	"cmp"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// maxName is the longest name that package config takes for an application.
const maxName = 40

// readName names the application as its repository at the remote origin, or
// else as its folder.
func (d *Draft) readName() error {
	name := filepath.Base(d.dir)
	// In a worktree there is none, or it is not ours to read: the folder has a name too.
	if _, text, err := d.source(".git/config"); err == nil {
		name = cmp.Or(origin(text), name)
	}
	d.Name = cmp.Or(label(name, maxName), "app")
	return nil
}

// origin returns the last part of the URL of the remote origin in a git
// configuration, without ".git".
func origin(gitConfig []byte) string {
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(gitConfig))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, url, _ := strings.Cut(line, "=")
		if section == `[remote "origin"]` && strings.TrimSpace(key) == "url" {
			url = strings.TrimRight(strings.TrimSpace(url), "/")
			// An address of SSH may have only a colon before its path.
			url = url[strings.LastIndexByte(url, ':')+1:]
			name := strings.TrimSuffix(path.Base(url), ".git")
			if name == "." || name == "/" {
				return ""
			}
			return name
		}
	}
	return ""
}

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// label makes a DNS label that begins with a letter of a text; empty where
// nothing of it is left.
func label(text string, most int) string {
	text = notLabel.ReplaceAllString(strings.ToLower(text), "-")
	text = strings.TrimLeft(text, "-0123456789")
	return strings.TrimRight(text[:min(len(text), most)], "-")
}
