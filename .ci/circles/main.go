// Command circles names the files of a package that call each other in a
// circle, and what they call. Files are read from top to bottom, callers before
// what they call, and a circle has no such order.
//
//	go run ./.ci/circles ./...
//
// It ends with status 1 if there is one.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	packages, exports, err := list(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "circles:", err)
		os.Exit(1)
	}
	found := false
	for _, p := range packages {
		calls, err := read(p, exports)
		if err != nil {
			fmt.Fprintf(os.Stderr, "circles: reading %s: %v\n", p.ImportPath, err)
			os.Exit(1)
		}
		for _, files := range calls.circles() {
			found = true
			fmt.Printf("%s: files call each other in a circle:\n", p.ImportPath)
			for _, from := range files {
				for _, to := range files {
					if names := calls[from][to]; len(names) > 0 {
						fmt.Printf("\t%s -> %s: %s\n", from, to, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
					}
				}
			}
		}
	}
	if found {
		os.Exit(1)
	}
}

// A listed package is what go list says of it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	DepOnly                 bool
	ImportMap               map[string]string
}

// list returns the packages that the patterns name, and the file with the
// compiled declarations of everything they import.
func list(patterns []string) (packages []listed, exports map[string]string, err error) {
	command := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,DepOnly,ImportMap", "--"}, patterns...)...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list: %w", err)
	}
	exports = map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, exports, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("reading what go list says: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			packages = append(packages, p)
		}
	}
}

// calls are the functions and methods of another file that each file uses: by
// the calling file, the file called, and the name.
type calls map[string]map[string]map[string]bool

// read returns the calls between the files of a package.
func read(p listed, exports map[string]string) (calls, error) {
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[cmp.Or(p.ImportMap[path], path)]) }
	config := types.Config{Importer: importer.ForCompiler(set, "gc", open)}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	if _, err := config.Check(p.ImportPath, set, files, &info); err != nil {
		return nil, err
	}
	between := calls{}
	in := func(at token.Pos) string { return filepath.Base(set.Position(at).Filename) }
	for used, object := range info.Uses {
		function, ok := object.(*types.Func)
		if !ok || function.Pkg() == nil || function.Pkg().Path() != p.ImportPath || ofInterface(function) {
			continue
		}
		from, to := in(used.Pos()), in(function.Origin().Pos())
		if from == to {
			continue
		}
		if between[from] == nil {
			between[from] = map[string]map[string]bool{}
		}
		if between[from][to] == nil {
			between[from][to] = map[string]bool{}
		}
		between[from][to][function.Name()] = true
	}
	return between, nil
}

// ofInterface reports whether a function is a method of an interface: what it
// calls stands elsewhere.
func ofInterface(function *types.Func) bool {
	receiver := function.Signature().Recv()
	return receiver != nil && types.IsInterface(receiver.Type())
}

// circles returns the groups of files each of which reaches every other of its
// group (Tarjan's strongly connected components).
func (c calls) circles() (groups [][]string) {
	number, lowest := map[string]int{}, map[string]int{}
	var stack []string
	var visit func(file string)
	visit = func(file string) {
		number[file] = len(number) + 1
		lowest[file] = number[file]
		stack = append(stack, file)
		for _, next := range slices.Sorted(maps.Keys(c[file])) {
			if number[next] == 0 {
				visit(next)
				lowest[file] = min(lowest[file], lowest[next])
			} else if slices.Contains(stack, next) {
				lowest[file] = min(lowest[file], number[next])
			}
		}
		if lowest[file] != number[file] {
			return
		}
		first := slices.Index(stack, file)
		if group := slices.Sorted(slices.Values(stack[first:])); len(group) > 1 {
			groups = append(groups, group)
		}
		stack = stack[:first]
	}
	for _, file := range slices.Sorted(maps.Keys(c)) {
		if number[file] == 0 {
			visit(file)
		}
	}
	return groups
}
