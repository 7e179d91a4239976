package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth/internal/fault"
	"berth/internal/provider"
)

// recipe is what a builder is given of a [provider.Build]: a copy of the
// Dockerfile in a folder of its own, and beside it, as Dockerfile.dockerignore,
// what is to be left out of the context. Builders prefer that file to the
// context's own .dockerignore, whose lines it begins with.
type recipe struct {
	build      provider.Build
	folder     string
	dockerfile string
}

// newRecipe makes the recipe's files in a new folder below temp. The caller removes
// the folder.
func newRecipe(b provider.Build, temp string, ignoreFiles ...string) (recipe, error) {
	content, err := os.ReadFile(b.Dockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		return recipe{}, fault.WithHint(fault.Usage("there is no Dockerfile %s", b.Dockerfile), "name it in berth.yaml: dockerfile")
	}
	if err != nil {
		return recipe{}, fmt.Errorf("read Dockerfile: %w", err)
	}
	ignore, err := ignoreFile(b, ignoreFiles)
	if err != nil {
		return recipe{}, err
	}
	folder, err := os.MkdirTemp(temp, "berth-image-") // 0700
	if err != nil {
		return recipe{}, fmt.Errorf("make a folder for the Dockerfile: %w", err)
	}
	r := recipe{b, folder, filepath.Join(folder, filepath.Base(b.Dockerfile))}
	err = errors.Join(os.WriteFile(r.dockerfile, content, 0o600), os.WriteFile(r.ignoreFile(), ignore, 0o600))
	if err != nil {
		os.RemoveAll(folder)
		return recipe{}, fmt.Errorf("copy Dockerfile: %w", err)
	}
	return r, nil
}

func (r recipe) ignoreFile() string { return r.dockerfile + ".dockerignore" }

// ignoreFile returns the lines of the ignore file that counts, and those of
// Ignore after them: the last line that matches a file decides, so that no "!"
// brings it back.
func ignoreFile(b provider.Build, names []string) ([]byte, error) {
	var ignore []byte
	for _, name := range append([]string{b.Dockerfile + ".dockerignore"}, names...) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(b.Context, name)
		}
		content, err := os.ReadFile(name)
		if err == nil {
			ignore = append(bytes.TrimPrefix(content, []byte("\ufeff")), '\n')
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
		}
	}
	for _, pattern := range b.Ignore {
		ignore = append(ignore, pattern+"\n"...)
	}
	return ignore, nil
}

// secrets returns the --secret flags and the environment that they name: a
// builder reads values there, not in its arguments.
func (r recipe) secrets() (flags, environment []string) {
	for i, id := range slices.Sorted(maps.Keys(r.build.Secrets)) {
		variable := fmt.Sprintf("BERTH_BUILD_SECRET_%d", i)
		flags = append(flags, "--secret", "id="+id+",env="+variable)
		environment = append(environment, variable+"="+r.build.Secrets[id])
	}
	return flags, environment
}

// secretFiles is secrets for builders that read values from files alone. They
// are gone with the recipe's folder.
func (r recipe) secretFiles() (flags []string, err error) {
	for i, id := range slices.Sorted(maps.Keys(r.build.Secrets)) {
		file := filepath.Join(r.folder, fmt.Sprintf("secret-%d", i))
		if err := os.WriteFile(file, []byte(r.build.Secrets[id]), 0o600); err != nil {
			return nil, fmt.Errorf("hand over build secret %s: %w", id, err)
		}
		flags = append(flags, "--secret", "id="+id+",src="+file)
	}
	return flags, nil
}

// shortestSecret is the length in bytes from which a line of a secret is masked:
// what is shorter is everywhere, and tells nothing.
const shortestSecret = 4

// mask hides the values of secrets in what a builder says.
func mask(secrets map[string]string) *strings.Replacer {
	var pairs []string
	for _, value := range secrets {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= shortestSecret {
				pairs = append(pairs, line, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// explain adds to a builder's failure what berth knows of its cause.
func (r recipe) explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, pattern := range r.build.Ignore {
		// BuildKit's words, and buildah's.
		if strings.Contains(text, `"/`+pattern+`": not found`) || strings.Contains(text, `"/`+pattern+`": no such file`) {
			return fault.WithHint(err, "%s never enters a build, because images are not secret: remove the line from the Dockerfile; "+
				"to give a build values of .env, name them in berth.yaml, build.secrets", pattern)
		}
	}
	if id := missingSecret(text); id != "" {
		return fault.WithHint(err, "name it in berth.yaml, build.secrets: [%s], and give its value in .env", id)
	}
	return err
}

// missingSecret is the id of a secret that a Dockerfile requires and nobody
// gave, or "".
func missingSecret(text string) string {
	before, _, ok := strings.Cut(text, ": not found")
	if !ok {
		return ""
	}
	_, id, ok := strings.Cut(before[strings.LastIndexByte(before, '\n')+1:], "secret ")
	if !ok || strings.ContainsAny(id, " :") {
		return ""
	}
	return id
}
