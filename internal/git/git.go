// Package git says which commit a folder is at, for an environment's history.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Commit is a state of a folder under version control.
type Commit struct {
	// Hash is the commit's, 40 or 64 hexadecimal digits.
	Hash string
	// Dirty says that files below the folder differ from it, or that it has
	// none of them.
	Dirty bool
}

// patience bounds how long git may look at a folder.
const patience = 10 * time.Second

// Head returns the commit of a folder, or none where there is no git, no
// repository or no commit yet.
//
// It runs as the folder's owner: a repository's own settings can name programs
// that git starts, which must not become root's because berth is.
func Head(ctx context.Context, folder string) (Commit, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return Commit{}, nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return Commit{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run := func(arguments ...string) (string, error) {
		command := exec.CommandContext(ctx, program, append([]string{"-C", folder}, arguments...)...)
		// A hook of git's names its own repository in variables. Nothing is
		// written, not even what was learned of the files.
		environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
		command.Env = append(environment, "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && owner.Uid != 0 {
			command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
		}
		var said bytes.Buffer
		command.Stderr = &said
		output, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w: %s", arguments[0], err, bytes.TrimSpace(said.Bytes()))
		}
		return strings.TrimSpace(string(output)), nil
	}
	hash, err := run("rev-parse", "--verify", "--quiet", "HEAD")
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return Commit{}, nil // no repository, no commit, or not one that git trusts
	}
	if err != nil {
		return Commit{}, err
	}
	changed, err := run("status", "--porcelain", "--", ".")
	if err != nil {
		return Commit{}, err
	}
	return Commit{Hash: hash, Dirty: changed != ""}, nil
}
