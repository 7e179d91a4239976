package scaffold

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"berth/internal/config"
	"berth/internal/fault"
)

// Write writes berth.yaml, and beside it what its secrets need: a .env.sample
// where there is no sample and .env does not have them all, and a line for .env
// in the .gitignore of a repository. It never overwrites a berth.yaml unless
// force is set. It returns the names of the files that it wrote.
func (d *Draft) Write(force bool) (written []string, err error) {
	source := d.YAML()
	if err := config.Check(source); err != nil {
		return nil, err // a fault of this package: its tests look for one
	}
	if err := d.create(config.File, source, force); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fault.WithHint(fault.Usage("there is a %s already; it was not changed", config.File),
				"berth new --print shows what would be written; --force replaces the file")
		}
		return nil, err
	}
	written = append(written, config.File)
	if len(d.Missing()) > 0 && !slices.ContainsFunc(samples, d.exists) {
		if err := d.create(samples[0], d.envSample(), false); err != nil {
			return written, err
		}
		written = append(written, samples[0])
	}
	if len(d.Secrets)+len(d.BuildSecrets) > 0 {
		ignored, err := d.ignoreDotEnv()
		if err != nil {
			return written, err
		}
		if ignored {
			written = append(written, ".gitignore")
		}
	}
	return written, nil
}

func (d *Draft) create(name string, text []byte, replace bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if replace {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(filepath.Join(d.dir, name), flags, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

func (d *Draft) envSample() []byte {
	var text strings.Builder
	text.WriteString("# Copy to .env, then: chmod 600 .env\n" +
		"# On the provider local, what berth.yaml names under secrets is made up where it\n" +
		"# is not in .env; elsewhere it is needed.\n")
	for _, name := range d.Missing() {
		text.WriteString("#" + name + "=\n")
	}
	return []byte(text.String())
}

// Missing returns the secrets that .env does not have yet.
func (d *Draft) Missing() []string {
	return slices.DeleteFunc(slices.Concat(d.Secrets, d.BuildSecrets), func(name string) bool {
		return slices.Contains(d.fromEnv, name)
	})
}

var ignoresDotEnv = regexp.MustCompile(`(?m)^[ \t]*(/|\*\*/)?(\.env\*?|\*\.env|\.env\[.*)[ \t]*\r?$`)

// ignoreDotEnv keeps .env out of a git repository.
func (d *Draft) ignoreDotEnv() (bool, error) {
	if _, err := os.Stat(filepath.Join(d.dir, ".git")); err != nil && !d.exists(".gitignore") {
		return false, nil
	}
	path := filepath.Join(d.dir, ".gitignore")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if ignoresDotEnv.Match(text) {
		return false, nil
	}
	line := "/.env\n"
	if len(text) > 0 && text[len(text)-1] != '\n' {
		line = "\n" + line
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	_, err = file.WriteString(line)
	return true, errors.Join(err, file.Close())
}
