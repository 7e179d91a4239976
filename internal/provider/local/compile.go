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

// compileKubernetes builds the binary of kube/ unless the cache has it, and
// returns its path. Go's own cache keeps what was compiled before an
// interruption.
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
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("make folder for Kubernetes: %w", err)
	}
	step.Detail("downloading modules")
	total, err := countPackages(ctx, module)
	if err != nil {
		return "", err
	}
	command := goCommand(ctx, module, "build", "-v", "-trimpath",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+KubernetesVersion,
		"-o", binary+".new", ".")
	output, err := command.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("start the Go compiler: %w", err)
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
		return "", fmt.Errorf("compile Kubernetes: %w: %s", err, lastLines(strings.Join(messages, "\n"), 5))
	}
	// Ready under its name only when it is whole.
	if err := os.Rename(binary+".new", binary); err != nil {
		return "", fmt.Errorf("keep Kubernetes: %w", err)
	}
	return binary, nil
}

func countPackages(ctx context.Context, module string) (int, error) {
	output, err := goCommand(ctx, module, "list", "-deps", "-f", "{{.ImportPath}}", ".").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, lastLines(string(exit.Stderr), 3))
		}
		return 0, fault.WithHint(fmt.Errorf("download the modules of Kubernetes: %w", err),
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
