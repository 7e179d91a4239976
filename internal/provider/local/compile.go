package local

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
	"berth/internal/progress"
)

// KubernetesVersion is the release that kube/go.mod requires.
const KubernetesVersion = "v1.37.2"

// buildKitVersion is the release that kube/go.mod requires.
const buildKitVersion = "v0.34.2"

// compileKubernetes builds the binary of kube/ unless the cache has it, and
// returns its path.
func compileKubernetes(ctx context.Context, l layout, source string, step progress.Step) (string, error) {
	module := filepath.Join(source, "kube")
	version, err := hashSources(module)
	if err != nil {
		return "", fmt.Errorf("read kube/: %w", err)
	}
	binary := l.cached("kube", version, "berth-kube")
	if exists(binary) {
		return binary, nil
	}
	if err := compile(ctx, module, binary, "-s -w -X k8s.io/component-base/version.gitVersion="+KubernetesVersion, step, "."); err != nil {
		return "", fmt.Errorf("compile Kubernetes: %w", err)
	}
	return binary, nil
}

// compileBuilder builds BuildKit's programs, whose versions kube/ names, into a
// folder unless they are there.
func compileBuilder(ctx context.Context, folder, source string, step progress.Step) error {
	module := filepath.Join(source, "kube")
	for _, program := range []string{"buildkitd", "buildctl"} {
		binary := filepath.Join(folder, program)
		if exists(binary) {
			continue
		}
		if err := compile(ctx, module, binary, "-s -w", step, "github.com/moby/buildkit/cmd/"+program); err != nil {
			return fmt.Errorf("compile %s: %w", program, err)
		}
	}
	return nil
}

// compile builds a program of a module. Go's own cache keeps what was compiled
// before an interruption.
func compile(ctx context.Context, module, binary, flags string, step progress.Step, program string) error {
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	step.Detail("downloading modules")
	total, err := countPackages(ctx, module, program)
	if err != nil {
		return err
	}
	command := goCommand(ctx, module, "build", "-v", "-trimpath", "-ldflags", flags, "-o", binary+".new", program)
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

func countPackages(ctx context.Context, module, program string) (int, error) {
	output, err := goCommand(ctx, module, "list", "-deps", "-f", "{{.ImportPath}}", program).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, lastLines(string(exit.Stderr), 3))
		}
		return 0, fault.WithHint(fmt.Errorf("download modules: %w", err),
			"see that GOPROXY can be reached from here, then run the same command again")
	}
	return strings.Count(string(output), "\n"), nil
}

func goCommand(ctx context.Context, dir string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	return command
}

// hashSources names the state of a module by its sources and its go.sum.
func hashSources(module string) (string, error) {
	hash := sha256.New()
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
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
