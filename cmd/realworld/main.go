// Command realworld serves the RealWorld ("Conduit") API. It takes its settings
// from the environment (docs/realworld.md); with none it serves on this
// machine for a first look.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"berth/internal/fault"
	"berth/internal/realworld"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)

	tuneCollector()

	config, err := realworld.ConfigFromEnvironment(os.Getenv)
	if err == nil {
		err = realworld.Run(ctx, config, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "realworld:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

// tuneCollector trades some ten megabytes for a fifth of the processor time of
// a request: what a request needs is gone when it ends, and collecting that
// seldom is cheap. The limit is for the passwords, whose hashes take 19 MiB
// each and would otherwise let the heap grow to five times as much.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(64 << 20)
	}
}
