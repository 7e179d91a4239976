// Command backup makes, verifies and restores backups of a PostgreSQL or SQLite
// database in an S3 bucket. It runs in the cluster's CronJob and by hand; settings come
// by the environment. See docs/backups.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/fault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit status: 0, 1 for a failure, 2 for a call that cannot be
// meant.
func run(ctx context.Context, arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use: "backup", Short: "Back up a database into a bucket, and know that it restores",
		SilenceErrors: true, SilenceUsage: true, Version: backup.Version,
	}
	root.SetArgs(arguments)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fault.Usage("%w", err) })
	root.AddCommand(checkCommand(), runCommand(), listCommand(), verifyCommand(), restoreCommand(), getCommand(), pruneCommand(), grantCommand(),
		streamCommand(), momentCommand(), fillCommand(), windowsCommand(), contentsCommand(), moveCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "backup:", err)
	if hint := fault.Hint(err); hint != "" {
		fmt.Fprintln(stderr, "  "+hint)
	}
	if fault.IsUsage(err) {
		return 2
	}
	return 1
}
