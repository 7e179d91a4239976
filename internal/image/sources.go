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
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"berth/internal/provider"
)

// Sources is a hash of what one of berth's own images is built from: its
// Dockerfile, and the files that this copies out of the context. Tests are not
// among them. It knows what berth's Dockerfiles say, and no more of what a
// Dockerfile may.
func Sources(b provider.Build) (string, error) {
	content, err := os.ReadFile(b.Dockerfile)
	if err != nil {
		return "", fmt.Errorf("read Dockerfile: %w", err)
	}
	result, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", b.Dockerfile, err)
	}
	stages, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", b.Dockerfile, err)
	}
	hash := sha256.New()
	hash.Write(content)
	if len(b.Args) > 0 || b.Target != "" { // of one Dockerfile they make several images
		said, err := json.Marshal([]any{b.Args, b.Target})
		if err != nil {
			return "", err
		}
		hash.Write(said)
	}
	var copied []string
	for _, stage := range stages {
		for _, command := range stage.Commands {
			if c, ok := command.(*instructions.CopyCommand); ok && c.From == "" {
				copied = append(copied, c.SourcePaths...)
			}
		}
	}
	slices.Sort(copied)
	for _, name := range slices.Compact(copied) {
		err := filepath.WalkDir(filepath.Join(b.Context, name), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return filepath.SkipDir
			case entry.IsDir() || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(b.Context, path)
			if err != nil {
				return err
			}
			fmt.Fprintf(hash, "\n%s %d\n", filepath.ToSlash(relative), len(content))
			hash.Write(content)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("read what image %s is built from: %w", b.Name, err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
