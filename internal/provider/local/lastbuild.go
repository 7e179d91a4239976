package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth/internal/compile"
	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// lastBuild is what is remembered of an image's last build: the files that it was
// made of, the images that it began with, and what came of it.
type lastBuild struct {
	Inputs string `json:"inputs"`
	Begins string `json:"begins"`
	Digest string `json:"digest"`
}

// again returns a hash of the files that a build is made of, and the digest of the
// image's last build if that was made of the same and the registry has it: then
// nothing is built. The hash is empty where the same files may make another image.
func (s imageStore) again(ctx context.Context, b provider.Build, bases []image.Base, r progress.Reporter) (inputs, digest string, err error) {
	inputs, last, err := s.before(ctx, b, bases)
	if last == "" || err != nil {
		return inputs, "", err
	}
	digest, err = s.registry.find(ctx, b.Name, last)
	if digest == "" || err != nil {
		return inputs, "", err
	}
	return inputs, digest, progress.Run(r, "Build image "+b.Name, func(step progress.Step) error {
		step.Detail("nothing that it is made of has changed")
		return nil
	})
}

// before returns the hash that again does, and the digest of the last build if that
// was made of the same.
func (s imageStore) before(ctx context.Context, b provider.Build, bases []image.Base) (inputs, digest string, err error) {
	if inputs, err = inputsOf(ctx, b); inputs == "" || err != nil {
		return "", "", err
	}
	last, err := s.recall(b.Name)
	if err != nil || last.Inputs != inputs {
		return inputs, "", err
	}
	if begins := s.begins(ctx, b, bases); begins == "" || begins != last.Begins {
		return inputs, "", nil
	}
	return inputs, last.Digest, nil
}

// inputsOf is a hash of the files that a build is made of. Of berth's own images
// those are the sources that the Dockerfile copies, and Go: the program is compiled
// outside of the build.
func inputsOf(ctx context.Context, b provider.Build) (string, error) {
	own, ok := ownProgram(b)
	if !ok {
		return image.Inputs(b)
	}
	inputs, err := image.Sources(b)
	if own.path == "" || err != nil {
		return inputs, err
	}
	version, err := goEnvironment(ctx, "GOVERSION")
	if err != nil {
		return "", nil // compiling says what is wrong
	}
	return inputs + " " + version, nil
}

// begins names the images that a build begins with. It is empty where they cannot
// be known: a tag of a registry that can be reached may name another image by now.
func (s imageStore) begins(ctx context.Context, b provider.Build, bases []image.Base) string {
	if _, own := ownProgram(b); !own {
		unreachable := s.reach.unreachable(ctx, bases)
		for _, base := range bases {
			if base.Tag != "" && unreachable[base.Registry] == nil {
				return ""
			}
		}
	}
	s.asItIs = true
	contexts, err := s.contexts(ctx, b, bases, progress.Discard)
	if err != nil {
		return "" // the build says what is wrong
	}
	names := []string{"buildkit " + compile.BuildKitVersion}
	for _, name := range slices.Sorted(maps.Keys(contexts)) {
		names = append(names, name+" "+contexts[name])
	}
	return strings.Join(names, "\n")
}

func (s imageStore) recall(name string) (lastBuild, error) {
	var last lastBuild
	content, err := os.ReadFile(s.memory(name))
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	if err != nil {
		return last, fmt.Errorf("read what image %s was built from: %w", name, err)
	}
	if json.Unmarshal(content, &last) != nil {
		return lastBuild{}, nil // written by another version; it is built
	}
	return last, nil
}

func (s imageStore) remember(name string, last lastBuild) error {
	if last.Inputs == "" || last.Begins == "" {
		return nil
	}
	content, err := json.Marshal(last)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.memory(name)), 0o700)
	}
	if err == nil {
		err = replaceFile(s.memory(name), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember what image %s was built from: %w", name, err)
	}
	return nil
}

func (s imageStore) memory(name string) string {
	return s.registry.layout.cached("built", filepath.Base(name)+".json")
}
