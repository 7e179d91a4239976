// Package docs holds no program: its tests read the pages as a reader follows
// them.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's.
const root = ".."

// pages are all that a reader may be sent to, by their paths below the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = string(content)
		}
	}
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	inline  = regexp.MustCompile("`[^`\n]*`")
)

// anchor is what GitHub makes of a heading: lower case, without punctuation.
func anchor(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// A link leads to a file that is there, and to a heading that this has.
func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for page, content := range all {
		text := inline.ReplaceAllString(fenced.ReplaceAllString(content, ""), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			to := match[1]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			file, fragment, _ := strings.Cut(to, "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s leads to nothing", page, to)
				continue
			}
			if fragment == "" {
				continue
			}
			there := false
			for _, title := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(all[target], ""), -1) {
				there = there || anchor(title[1]) == fragment
			}
			if !there {
				t.Errorf("%s: %s has no such heading", page, to)
			}
		}
	}
}

// Every page is one that a reader comes to from the README.
func TestEveryPageIsLinkedTo(t *testing.T) {
	all := pages(t)
	seen := map[string]bool{}
	var visit func(page string)
	visit = func(page string) {
		if seen[page] {
			return
		}
		seen[page] = true
		for _, match := range link.FindAllStringSubmatch(all[page], -1) {
			file, _, _ := strings.Cut(match[1], "#")
			if target := filepath.Join(filepath.Dir(page), file); strings.HasSuffix(file, ".md") {
				if _, there := all[target]; there {
					visit(target)
				}
			}
		}
	}
	visit("README.md")
	for page := range all {
		if strings.HasPrefix(page, "docs/") && !seen[page] {
			t.Errorf("nothing leads from the README to %s", page)
		}
	}
}
