package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// run runs a command of this machine, whose words are printed.
func run(ctx context.Context, dir string, environment []string, name string, arguments ...string) error {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir, command.Env = dir, append(os.Environ(), environment...)
	command.Stdout, command.Stderr = os.Stdout, os.Stdout
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
