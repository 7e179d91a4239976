// Command realworld serves the RealWorld ("Conduit") API. It takes its settings
// from the environment (docs/realworld.md); with none it serves on this
// machine for a first look.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"berth/internal/fault"
	"berth/internal/realworld"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)

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
