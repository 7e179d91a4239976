// Package scaffold writes the first berth.yaml of an application from the files in its
// folder: a Dockerfile, a Procfile, a compose.yaml, an app.json, a .env or its sample.
//
// Each of these files has its own reader. The reader puts what it understands into
// one [Draft], and notes what it could not carry over, and why. It does not change what
// an earlier reader has set; [Read] begins with the files that say most about
// production. Then advice.go notes what is for the owner to do, settle.go completes the
// draft so that package config accepts it, and write.go writes what render.go makes of it.
//
// Below the readers is what they share: find.go and stages.go find and parse a
// Dockerfile; variables.go, address.go and entries.go judge variables; port.go, health.go,
// image.go, command.go and name.go judge single values. At the ground are draft.go, which
// is filled, and folder.go, which is read.
//
// The files may come from anybody. Nothing in them is run, values of a .env are never
// written anywhere, and no file outside of the folder is read except those that
// compose.yaml includes.
package scaffold

import (
	"cmp"
	"path/filepath"

	"berth/internal/fault"
)

// Read drafts the berth.yaml of the application in a folder. It returns a usage
// error where the folder holds nothing that says how to run one.
func Read(dir string) (*Draft, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Draft{folder: folder{dir}, Args: map[string]string{}, Env: map[string]string{}, References: map[string]string{},
		Processes: map[string]Process{}, Volumes: map[string]string{}, Services: map[string]string{}}
	c := &compose{Draft: d}
	for _, read := range []func() error{
		d.readName, d.readProcfile, c.read, d.readDockerfile, c.takeParts, d.readAppJSON, d.readKamal, d.readFrameworks,
		d.readLanguage, d.readDotEnv,
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
	c.notePending()
	d.advise()
	d.settle()
	return d, nil
}

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
