package scaffold

import (
	"bytes"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// findDockerfile returns the Dockerfile that is most likely meant for
// production.
func (d *Draft) findDockerfile() string {
	var found []string
	for _, pattern := range []string{
		"Dockerfile", "Containerfile", "dockerfile", "Dockerfile.prod*", "prod*.Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile",
		"docker/Dockerfile", "docker/Dockerfile.prod*", "docker/*/Dockerfile", "deploy/Dockerfile", "build/Dockerfile", "images/*/Dockerfile",
	} {
		for _, name := range d.glob(pattern) {
			if d.exists(name) && !strings.HasSuffix(name, ".dockerignore") && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	if len(found) == 0 {
		found = d.searchDockerfiles()
	}
	if len(found) == 0 {
		return ""
	}
	others := slices.DeleteFunc(slices.Clone(found[1:]), func(name string) bool { return development.MatchString(name) })
	if len(others) > 0 {
		d.note(found[0], "is the one that is built; an application has one image, so these are not: %s", strings.Join(others, ", "))
	}
	return found[0]
}

// searchDockerfiles looks into the folders below. What is likely the web process comes
// first.
func (d *Draft) searchDockerfiles() []string {
	var found []string
	entries := 0
	filepath.WalkDir(d.dir, func(at string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(d.dir, at)
		if entries++; err != nil || entries > mostEntries {
			return fs.SkipDir // a folder that cannot be read holds nothing of it
		}
		if entry.IsDir() {
			if name != "." && (foreign.MatchString(entry.Name()) || strings.Count(name, "/") >= deepest) {
				return fs.SkipDir
			}
			return nil
		}
		if dockerfileName.MatchString(entry.Name()) && !strings.HasSuffix(name, ".dockerignore") && d.exists(name) && len(found) < mostDockerfiles {
			found = append(found, name)
		}
		return nil
	})
	score := func(name string) int {
		score := strings.Count(name, "/")
		if development.MatchString(name) {
			score += 20
		}
		if helper.MatchString(path.Dir(name)) {
			score += 40
		}
		if !webName.MatchString(path.Base(path.Dir(name))) {
			score += 5
		}
		return score
	}
	slices.SortStableFunc(found, func(a, b string) int { return score(a) - score(b) })
	return found
}

var (
	dockerfileName = regexp.MustCompile(`(?i)^(Dockerfile|Containerfile)(\.[\w-]+)?$|\.Dockerfile$`)
	// foreign are folders of what others wrote, or what is built.
	foreign = regexp.MustCompile(`(?i)^(\..*|node_modules|vendor|target|dist|out|venv|third_party|examples?|docs?)$`)
	// helper are folders of servers beside the application.
	helper = regexp.MustCompile(`(?i)(^|/)(nginx|traefik|caddy|haproxy|proxy|postgres(ql)?|mysql|redis|db|database|aws)(/|$)`)
)

const (
	deepest, mostEntries = 4, 20000
	mostDockerfiles      = 20
)

// contextOf returns the folder that a Dockerfile below this one copies from: the one
// that has the files which it names. Where each has them, the one with the
// application's own files.
func (d *Draft) contextOf(name string, text []byte) string {
	folder := path.Dir(name)
	if folder == "." {
		return "."
	}
	sources := copied(text)
	best, most := ".", -1
	for _, at := range []string{".", path.Dir(folder), folder} {
		there := 0
		for _, source := range sources {
			if len(d.glob(path.Join(at, source))) > 0 {
				there++
			}
		}
		if there > most {
			best, most = at, there
		} else if there == most && at != best && d.hasLanguage(at) && !d.hasLanguage(best) {
			best = at
		}
	}
	return best
}

// copied are the files and folders of the context that a Dockerfile names, without
// those that are any context's.
func copied(text []byte) []string {
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	var sources []string
	for _, node := range result.AST.Children {
		if instruction := strings.ToLower(node.Value); instruction != "copy" && instruction != "add" || fromStage(node) {
			continue
		}
		for word := node.Next; word != nil && word.Next != nil; word = word.Next {
			source := path.Clean("/" + word.Value)[1:]
			if source != "" && !strings.ContainsAny(word.Value, "$:<") {
				sources = append(sources, source)
			}
		}
	}
	return sources
}
