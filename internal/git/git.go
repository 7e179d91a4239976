// Package git finds the commit that a folder is at, for an environment's history,
// and tells which of two commits is older.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
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
func Head(ctx context.Context, folder string) (Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := open(ctx, folder)
	if run == nil || err != nil {
		return Commit{}, err
	}
	head, err := run("rev-parse", "--verify", "--quiet", "HEAD")
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
	return Commit{Hash: head, Dirty: changed != ""}, nil
}

// Branch returns the branch that a folder is on; "" where there is no git or no
// repository, and where the folder is at a commit of no branch.
func Branch(ctx context.Context, folder string) (string, error) {
	return ask(ctx, folder, "symbolic-ref", "--quiet", "--short", "HEAD")
}

// Tip returns the commit of a branch of a folder's repository; "" where it is not known
// there.
func Tip(ctx context.Context, folder, branch string) (string, error) {
	return ask(ctx, folder, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch+"^{commit}")
}

// ask returns what git says; "" where it knows nothing.
func ask(ctx context.Context, folder string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := open(ctx, folder)
	if run == nil || err != nil {
		return "", err
	}
	said, err := run(arguments...)
	if exit := new(exec.ExitError); errors.As(err, &exit) && ctx.Err() == nil {
		return "", nil
	}
	return said, err
}

// Message returns a commit's author, day and message. It is empty if the folder
// does not know the commit.
func Message(ctx context.Context, folder, commit string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := open(ctx, folder)
	if run == nil || err != nil || !hash.MatchString(commit) {
		return "", err
	}
	said, err := run("show", "--no-patch", "--no-show-signature", "--no-color", "--date=short", "--format=%an, %ad%n%n%B", commit)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return "", nil
	}
	return said, err
}

// ErrUnknown is returned for a commit that a folder's history does not reach to.
var ErrUnknown = errors.New("the history here does not have this commit")

// Before reports whether one commit is an ancestor of another, or the same.
func Before(ctx context.Context, folder, one, other string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := open(ctx, folder)
	if err != nil {
		return false, err
	}
	if run == nil {
		return false, fmt.Errorf("%s: %w", other, ErrUnknown)
	}
	for _, commit := range []string{one, other} {
		if !hash.MatchString(commit) {
			return false, fmt.Errorf("%q is no commit", commit)
		}
		if _, err := run("cat-file", "-e", commit+"^{commit}"); err != nil {
			if ctx.Err() != nil {
				return false, err
			}
			return false, fmt.Errorf("%s: %w", commit, ErrUnknown)
		}
	}
	_, err = run("merge-base", "--is-ancestor", one, other)
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		// What a shallow clone leaves out may be what lies between them.
		if shallow, err := run("rev-parse", "--is-shallow-repository"); err != nil || shallow == "true" {
			return false, errors.Join(err, fmt.Errorf("%s and %s: %w", one, other, ErrUnknown))
		}
		return false, nil
	}
	return err == nil, err
}

// hash is a commit's, in full.
var hash = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// open returns what runs git on a folder; nil where there is no git.
//
// It runs as the folder's owner: a repository's own settings can name programs
// that git starts, which must not become root's because berth is.
func open(ctx context.Context, folder string) (run func(arguments ...string) (string, error), err error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	return func(arguments ...string) (string, error) {
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
	}, nil
}
