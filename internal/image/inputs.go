package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"berth/internal/provider"
)

// Inputs is a hash of everything that a build reads from this machine: the
// Dockerfile, its arguments, and the path, mode, size and modification time of each
// file of the context that is not ignored, as BuildKit compares files. It does not
// include base images nor, as for BuildKit, the values of secrets. It is empty if
// the same inputs may make another image, because ADD downloads something.
func Inputs(b provider.Build) (string, error) {
	content, err := os.ReadFile(b.Dockerfile)
	if err != nil {
		return "", fmt.Errorf("read Dockerfile: %w", err)
	}
	if fetches(content) {
		return "", nil
	}
	ignore, err := ignoreFile(b, []string{".dockerignore"})
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	said, err := json.Marshal([]any{content, ignore, b.Args, b.Target, b.Platform, b.Context})
	if err != nil {
		return "", err
	}
	hash.Write(said)
	patterns, err := ignorefile.ReadAll(bytes.NewReader(ignore))
	if err != nil {
		return "", fmt.Errorf("read .dockerignore: %w", err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return "", fmt.Errorf("read .dockerignore: %w", err)
	}
	parents := map[string]patternmatcher.MatchInfo{}
	err = filepath.WalkDir(b.Context, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(b.Context, path)
		if err != nil || name == "." {
			return err
		}
		left, info, err := matcher.MatchesUsingParentResults(name, parents[filepath.Dir(name)])
		if err != nil {
			return err
		}
		if entry.IsDir() {
			parents[name] = info
		}
		switch {
		case left && entry.IsDir() && !matcher.Exclusions():
			return filepath.SkipDir
		case left:
			return nil
		}
		stat, err := entry.Info()
		if err != nil {
			return err
		}
		target := ""
		if entry.Type()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		size, changed := stat.Size(), stat.ModTime().UnixNano()
		if entry.IsDir() {
			size, changed = 0, 0 // what is in it counts, and not when something was
		}
		fmt.Fprintf(hash, "%q %o %d %d %q\n", name, stat.Mode(), size, changed, target)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look at what image %s is built from: %w", b.Name, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// fetches reports whether a Dockerfile adds what is not in its context, or cannot
// be read.
func fetches(content []byte) bool {
	result, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return true
	}
	stages, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return true
	}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			add, ok := command.(*instructions.AddCommand)
			if !ok {
				continue
			}
			for _, source := range add.SourcePaths {
				if strings.Contains(source, "://") || strings.HasPrefix(source, "git@") || strings.Contains(source, "$") {
					return true
				}
			}
		}
	}
	return false
}
