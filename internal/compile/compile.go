// Package compile builds the programs that berth runs from berth's own source, with
// the Go of this machine. The same source and the same Go give the same bytes, in
// any folder and on any machine.
package compile

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"berth/internal/fault"
	"berth/internal/prebuilt"
	"berth/internal/progress"
)

// The releases that kube/go.mod requires.
const (
	KubernetesVersion = "v1.37.2"
	BuildKitVersion   = "v0.34.2"
)

// Program is a Go program to compile.
type Program struct {
	prebuilt.Part
	// Title is what people call it: "Kubernetes v1.37.2".
	Title string
	// Module is the folder of its module, Package the package in it.
	Module, Package string
	// Set are variables that the linker gives a value, as package.name=value.
	Set []string
	// Arch is what it is for, as "arm64"; empty for this machine's own.
	Arch string
	// Overlay is a file of the go command's that puts others in the place of
	// source files; empty for none.
	Overlay string
}

// Kubernetes is the program of kube/ in berth's source.
func Kubernetes(root string) (Program, error) {
	module := filepath.Join(root, "kube")
	sources, err := hashSources(module)
	if err != nil {
		return Program{}, fmt.Errorf("read kube/: %w", err)
	}
	return Program{
		Part: prebuilt.Part{Name: "kubernetes", Sources: sources}, Title: "Kubernetes " + KubernetesVersion,
		Module: module, Package: ".",
		Set: []string{"k8s.io/component-base/version.gitVersion=" + KubernetesVersion},
	}, nil
}

// BuildKit are the programs of the image builder, whose versions kube/ names.
func BuildKit(root string) []Program {
	var programs []Program
	for _, name := range []string{"buildkitd", "buildctl"} {
		programs = append(programs, Program{
			Part: prebuilt.Part{Name: name, Sources: BuildKitVersion}, Title: name,
			Module: filepath.Join(root, "kube"), Package: "github.com/moby/buildkit/cmd/" + name,
		})
	}
	return programs
}

// VictoriaMetrics is what keeps metrics, of the version that metrics/go.mod requires.
func VictoriaMetrics(root string) Program {
	return Program{Title: "VictoriaMetrics", Module: filepath.Join(root, "metrics"), Package: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"}
}

// Obtain brings a program into a file unless it is there: out of a release of
// berth, or else compiled here.
func (p Program) Obtain(ctx context.Context, release *prebuilt.Release, binary string, r progress.Reporter) error {
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	if there, err := release.Program(ctx, p.Part, binary, r); there || err != nil {
		return err
	}
	return progress.Run(r, "Compile "+p.Title, func(step progress.Step) error { return p.Build(ctx, binary, step) })
}

// Build compiles a program. Go's own cache keeps what was compiled before an
// interruption.
func (p Program) Build(ctx context.Context, binary string, step progress.Step) error {
	if err := p.build(ctx, binary, step); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("compile %s: %w", p.Title, err)
	}
	return nil
}

func (p Program) build(ctx context.Context, binary string, step progress.Step) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fault.WithHint(errors.New("there is no Go on this machine"), "install Go 1.26 or newer: https://go.dev/doc/install")
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	step.Detail("downloading modules")
	total, err := p.countPackages(ctx)
	if err != nil {
		return err
	}
	flags := "-s -w"
	for _, variable := range p.Set {
		flags += " -X " + variable
	}
	arguments := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary + ".new"}
	if p.Overlay != "" {
		arguments = append(arguments, "-overlay", p.Overlay)
	}
	command := p.command(ctx, append(arguments, p.Package)...)
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the Go compiler: %w", err)
	}
	// -v names a package when its compiling begins; what the cache has is
	// never named, so the count starts late rather than ends early.
	var messages []string
	compiled := 0
	for lines := bufio.NewScanner(output); lines.Scan(); {
		line := lines.Text()
		if strings.ContainsAny(line, " :") {
			messages = append(messages, line)
			continue
		}
		compiled++
		step.Detail(fmt.Sprintf("%d of at most %d packages, now %s", compiled, total, line))
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(strings.Join(messages, "\n"), 5))
	}
	// Ready under its name only when it is whole.
	if err := os.Rename(binary+".new", binary); err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	return nil
}

func (p Program) countPackages(ctx context.Context) (int, error) {
	output, err := p.command(ctx, "list", "-deps", "-f", "{{.ImportPath}}", p.Package).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, lastLines(string(exit.Stderr), 3))
		}
		return 0, fault.WithHint(fmt.Errorf("download modules: %w", err),
			"check that GOPROXY can be reached from here, then run the same command again")
	}
	return strings.Count(string(output), "\n"), nil
}

// command is a go command in the program's module. What a machine may choose of
// the code that is made is chosen here.
func (p Program) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = p.Module
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0")
	if p.Arch != "" {
		command.Env = append(command.Env, "GOOS=linux", "GOARCH="+p.Arch)
	}
	return command
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// hashSources names the state of a module by its sources and its go.sum.
func hashSources(module string) (string, error) {
	hash := sha256.New()
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == "testdata" {
			return filepath.SkipDir // a command's own copy has none
		}
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(module, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %d\n", relative, len(content))
		hash.Write(content)
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil))[:12], err
}
