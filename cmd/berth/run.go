package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/release"
	"berth/internal/session"
)

// The exit statuses of every command.
const (
	succeeded = 0
	failed    = 1
	misused   = 2
)

// errReported ends a command with status 1 when what is wrong was its result
// and has been written already.
var errReported = errors.New("reported")

// Run runs one command line to its end and returns the exit status. The first
// interrupt lets the command stop cleanly; the second ends the process at once.
func Run(ctx context.Context, args []string, streams console.Streams, environ []string) int {
	return run(ctx, args, &app{streams: streams, environ: environ, parts: realParts})
}

func run(ctx context.Context, args []string, a *app) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From here on signals do again what they do by default.
	defer context.AfterFunc(ctx, stop)()

	root := a.rootCommand()
	a.args = args
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	// Whatever cobra refused before the command's own work began was not a
	// call that could be meant.
	if err != nil && !a.begun {
		err = fault.Usage("%w", err)
		if fault.Hint(err) == "" {
			err = fault.WithHint(err, "berth --help lists the commands, berth COMMAND --help a command's flags")
		}
	}
	if a.console == nil {
		a.console = console.New(a.streams, a.environ, console.Options{})
	}
	a.console.Close()
	var exit *session.Exit
	switch {
	case err == nil:
		return succeeded
	case errors.Is(err, errReported):
		return failed
	case errors.As(err, &exit):
		// The program has said itself what is wrong, mostly.
		if exit.Why != nil {
			a.console.Error(exit.Why)
		}
		return exit.Status
	case ctx.Err() != nil:
		interrupted := errors.New("interrupted")
		if lost := new(release.Failed); errors.As(err, &lost) {
			interrupted = fmt.Errorf("interrupted; %s", lost.Now())
		} else if !errors.Is(err, context.Canceled) {
			// A program that was ended, or a library with an error of its own.
			interrupted = fmt.Errorf("interrupted: %w", err)
		}
		a.console.Error(fault.WithHint(interrupted, "run the same command again to continue"))
		return failed
	}
	// Why a release does not serve takes more than a line.
	if lost := new(release.Failed); errors.As(err, &lost) {
		a.console.Explain(lost.Report())
		summary := lost.Summary()
		if err.Error() == lost.Error() { // whatever it is wrapped in
			err = summary
		} else if hint := fault.Hint(summary); hint != "" {
			err = fault.WithHint(err, "%s", hint)
		}
	}
	a.console.Error(err)
	if fault.IsUsage(err) {
		return misused
	}
	return failed
}
