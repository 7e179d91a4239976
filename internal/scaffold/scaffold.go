// Package scaffold writes the first berth.yaml of an application from the files in its
// folder: a Dockerfile, a Procfile, a compose.yaml, an app.json, a .env or its sample.
//
// Each of these files has its own reader. The reader puts what it understands into
// one [Draft], and notes what it could not carry over, and why. It does not change what
// an earlier reader has set; [Read] begins with the files that say most about
// production. Then settle.go completes the draft so that package config accepts it, and
// render.go writes it.
//
// The files may come from anybody. Nothing in them is run, values of a .env are never
// written anywhere, and no file outside of the folder is read except those that
// compose.yaml includes.
package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth/internal/fault"
)

// Draft is what the files of a folder say about an application.
type Draft struct {
	Name string

	// Dockerfile and Context are relative to the folder. Image is set instead
	// of them where nothing is built.
	Dockerfile, Context, Image string
	Args                       map[string]string
	BuildSecrets               []string
	Target, Platform           string

	// Port of the web process; 0 where there is none. GuessedPort says that no
	// file names it.
	Port        int
	GuessedPort bool
	Command     Command
	Health      string
	User        string
	CPU, Memory string
	Writable    []string

	Env        map[string]string
	References map[string]string
	Secrets    []string
	// HostVariables are variables that hold an environment's hosts.
	HostVariables []string

	Release   Command
	Processes map[string]Process
	// Volumes are paths by name.
	Volumes map[string]string
	// Services are kinds by name.
	Services map[string]string
	// Database is empty for none.
	Database string
	// Replicas in production, where a file says how many.
	Replicas int

	// Sources are the files that something was taken from, Notes what could not
	// be, and what is for the owner to do.
	Sources []string
	Notes   []Note

	compose *compose
	// docker is what the Dockerfile says of the image, for the other readers.
	docker dockerfile
	// onlyWorks is set by a file that knows of no web process.
	onlyWorks bool
	// procfile is set where a Procfile says what runs.
	procfile bool
	// healthPort is the one that the health check asks, which healthFile has.
	healthPort int
	healthFile string
	// otherTarget says that compose.yaml builds a stage for development.
	otherTarget bool
	// envPort is what a file sets PORT to.
	envPort int
	// local are variables that lead to the developer's own machine.
	local []string
	// fromEnv are the names of .env itself.
	fromEnv []string
	dir     string
}

// Command is a process's command: a list, or a string for a shell.
type Command struct {
	List []string
	Text string
}

// IsZero reports whether there is no command.
func (c Command) IsZero() bool { return len(c.List) == 0 && c.Text == "" }

// String is the command in one line.
func (c Command) String() string {
	if len(c.List) > 0 {
		return strings.Join(c.List, " ")
	}
	return c.Text
}

// Process is a worker.
type Process struct {
	Command  Command
	Replicas int
	Env      map[string]string
}

// Note is one thing that the owner should know of a file.
type Note struct{ File, Text string }

func (n Note) String() string { return n.File + ": " + n.Text }

func (d *Draft) note(file, format string, arguments ...any) {
	n := Note{file, fmt.Sprintf(format, arguments...)}
	if !slices.Contains(d.Notes, n) {
		d.Notes = append(d.Notes, n)
	}
}

// Read drafts the berth.yaml of the application in a folder. It returns a usage
// error where the folder holds nothing that says how to run one.
func Read(dir string) (*Draft, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Draft{dir: dir, Args: map[string]string{}, Env: map[string]string{}, References: map[string]string{},
		Processes: map[string]Process{}, Volumes: map[string]string{}, Services: map[string]string{}}
	for _, read := range []func() error{
		d.readName, d.readProcfile, d.readCompose, d.readDockerfile, d.takeCompose, d.readAppJSON, d.readKamal, d.readFrameworks,
		d.readLanguage, d.readDotEnv, d.takePending, d.takeLocal, d.noteMigrations, d.noteMade, d.noteStrangers,
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	if len(d.Sources) == 0 && len(d.Notes) > 0 {
		// A file that cannot be read is not one that says nothing.
		return nil, fault.Usage("%v", d.Notes[0])
	}
	if len(d.Sources) == 0 {
		return nil, fault.WithHint(
			fault.Usage("nothing in %s says how to run an application: there is no Dockerfile, Procfile or compose.yaml", dir),
			"run berth new in the application's folder, or write one by hand from the example in docs/configuration.md")
	}
	d.settle()
	return d, nil
}

// source reads the first of some files that there is. The name is empty where
// there is none.
func (d *Draft) source(names ...string) (name string, text []byte, err error) {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(d.dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", nil, err
		case len(text) > maxFile:
			return "", nil, fault.Usage("%s is larger than %d MB", name, maxFile>>20)
		}
		return name, text, nil
	}
	return "", nil, nil
}

const maxFile = 1 << 20

func (d *Draft) exists(name string) bool {
	info, err := os.Stat(filepath.Join(d.dir, name))
	return err == nil && info.Mode().IsRegular()
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
