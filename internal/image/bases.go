package image

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"berth/internal/provider"
)

// Base is an image that a build takes from a registry.
type Base struct {
	// Name is how the Dockerfile calls it, without the tag "latest":
	// "golang:1.26".
	Name string
	// Registry is the host that has it: "docker.io".
	Registry string
	// Repository and Tag are the rest of it: "library/golang" and "1.26". Tag is
	// empty for an image by digest.
	Repository, Tag string
	// Line of the Dockerfile that names it.
	Line int
}

// Bases returns the images that a build pulls from registries: those that the
// target's stages begin with, copy from and mount, and the frontend of a line "#
// syntax=" that BuildKit does not have itself. A Dockerfile that cannot be read has
// none: the builder will report what is wrong with it.
func Bases(b provider.Build) ([]Base, error) {
	content, err := os.ReadFile(b.Dockerfile)
	if err != nil {
		return nil, fmt.Errorf("read Dockerfile: %w", err)
	}
	result, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, nil
	}
	stages, args, err := instructions.Parse(result.AST, nil)
	if err != nil || len(stages) == 0 {
		return nil, nil
	}
	f := dockerfile{stages: stages, args: defaults(args, b), lex: shell.NewLex(result.EscapeToken), seen: map[int]bool{}}
	last := len(stages) - 1
	if b.Target != "" {
		if last = f.stage(b.Target, len(stages)); last < 0 {
			return nil, nil
		}
	}
	if frontend, _, location, ok := parser.DetectSyntax(content); ok && !dockerSyntax.MatchString(frontend) {
		f.take(frontend, 0, firstLine(location))
	}
	f.visit(last)
	return f.bases, nil
}

// dockerfile walks from a stage to the images that it is made of.
type dockerfile struct {
	stages []instructions.Stage
	args   environment
	lex    *shell.Lex
	seen   map[int]bool
	bases  []Base
}

func (f *dockerfile) visit(number int) {
	if f.seen[number] {
		return
	}
	f.seen[number] = true
	stage := f.stages[number]
	f.take(stage.BaseName, number, firstLine(stage.Location))
	for _, command := range stage.Commands {
		line := firstLine(command.Location())
		switch c := command.(type) {
		case *instructions.CopyCommand:
			f.take(c.From, len(f.stages), line)
		case *instructions.RunCommand:
			for _, mount := range instructions.GetMounts(c) {
				f.take(mount.From, len(f.stages), line)
			}
		}
	}
}

func firstLine(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return location[0].Start.Line
}

// take notes an image, or visits the stage of that name before another one.
func (f *dockerfile) take(name string, before, line int) {
	name, _, err := f.lex.ProcessWord(name, f.args)
	if err != nil || name == "" || name == "scratch" {
		return
	}
	if number := f.stage(name, before); number >= 0 {
		f.visit(number)
		return
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return
	}
	base := Base{
		Name:       strings.TrimSuffix(reference.FamiliarString(named), ":latest"),
		Registry:   reference.Domain(named),
		Repository: reference.Path(named),
		Line:       line,
	}
	if _, ok := named.(reference.Digested); !ok {
		base.Tag = reference.TagNameOnly(named).(reference.Tagged).Tag()
	}
	if !slices.ContainsFunc(f.bases, func(b Base) bool { return b.Name == base.Name }) {
		f.bases = append(f.bases, base)
	}
}

// stage is the number of a stage by its name or number, the latest of those
// before another one, or -1.
func (f *dockerfile) stage(name string, before int) int {
	for i := min(before, len(f.stages)) - 1; i >= 0; i-- {
		if strings.EqualFold(f.stages[i].Name, name) || fmt.Sprint(i) == name {
			return i
		}
	}
	return -1
}

// environment holds the values of the ARGs before the first FROM.
type environment map[string]string

func (e environment) Get(name string) (string, bool) { value, ok := e[name]; return value, ok }
func (e environment) Keys() []string                 { return slices.Sorted(maps.Keys(e)) }

func defaults(args []instructions.ArgCommand, b provider.Build) environment {
	values := environment{}
	lex := shell.NewLex('\\')
	for _, command := range args {
		for _, arg := range command.Args {
			if given, ok := b.Args[arg.Key]; ok {
				values[arg.Key] = given
			} else if arg.Value != nil {
				if value, _, err := lex.ProcessWord(*arg.Value, values); err == nil {
					values[arg.Key] = value
				}
			}
		}
	}
	return values
}
