// Command tofu prints the path of the Terraform or OpenTofu that berth and its
// tests use, and compiles OpenTofu where there is neither. Run before the tests,
// it keeps those minutes out of a test's time.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/terraform"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tofu:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cache, err := terraform.Cache()
	if err != nil {
		return err
	}
	program, err := terraform.Program(ctx, cache, progress.Discard)
	if err != nil {
		return err
	}
	fmt.Println(program)
	return nil
}
