// Command backup makes, verifies and restores backups of a PostgreSQL or SQLite
// database in an S3 bucket. It runs in the cluster's CronJob and by hand; settings come
// by the environment. See docs/backups.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

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

// atMostOneID is cobra's check of arguments, as a usage error.
func atMostOneID(_ *cobra.Command, arguments []string) error {
	if len(arguments) > 1 {
		return fault.Usage("give one ID at most; without one, the newest backup is meant")
	}
	return nil
}

func none(_ *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return fault.Usage("unexpected argument %q", arguments[0])
	}
	return nil
}

func first(arguments []string) string {
	if len(arguments) == 0 {
		return ""
	}
	return arguments[0]
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Tell whether backups can be made and verified here, and make none", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newJob(command.ErrOrStderr(), true)
			if err != nil {
				return err
			}
			warnings, err := job.Check(command.Context(), verifies())
			if err != nil {
				return err
			}
			job.Log.Info("backups can be made here", "verified", verifies(), "warnings", warnings)
			return nil
		},
	}
}

// verifies reports whether the settings ask for backups to be verified.
func verifies() bool { return setting("BACKUP_VERIFY", "true") != "false" }

func runCommand() *cobra.Command {
	var verify bool
	command := &cobra.Command{
		Use: "run", Short: "Make a backup, verify it, prune old ones", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			job, err := newJob(command.ErrOrStderr(), true)
			if err != nil {
				return err
			}
			keep, err := retention()
			if err != nil {
				return err
			}
			if verify && len(job.Recipients) > 0 && len(job.Identities) == 0 {
				return fault.WithHint(fault.Usage("an encrypted backup cannot be verified without the key"),
					"set BACKUP_AGE_IDENTITY_FILE, or BACKUP_VERIFY=false and verify where the key is")
			}
			report := job.Cycle(ctx, verify, keep)
			if os.Getenv("BACKUP_CONTINUOUS") == "true" && ctx.Err() == nil {
				report.Err = errors.Join(report.Err, base(ctx, job, verify, keep.Last))
			}
			tell(context.WithoutCancel(ctx), job, report)
			if report.Err != nil {
				return report.Err
			}
			return printJSON(command.OutOrStdout(), report.Manifest)
		},
	}
	command.Flags().BoolVar(&verify, "verify", verifies(), "restore the backup into a scratch server afterwards")
	return command
}

// tell sends the report where the settings say. That it does not arrive is no
// failure of the backup, and logged.
func tell(ctx context.Context, job *backup.Job, report backup.Report) {
	failed := func(err error) {
		if err != nil {
			job.Log.Error("the report did not arrive", "error", err.Error())
		}
	}
	if path := os.Getenv("METRICS_FILE"); path != "" {
		failed(report.WriteMetrics(path))
	}
	if gateway := os.Getenv("PUSHGATEWAY_URL"); gateway != "" {
		failed(report.PushMetrics(ctx, gateway, job.Name()))
	}
	if webhook := os.Getenv("WEBHOOK_URL"); webhook != "" && report.Err != nil {
		failed(report.Notify(ctx, webhook, job.Name()))
	}
	fields := []any{"success", report.Err == nil, "seconds", report.Finished.Sub(report.Started).Seconds()}
	if report.Manifest != nil {
		fields = append(fields, "backup", report.Manifest.ID, "bytes", report.Manifest.Dump.Bytes, "rows", report.Manifest.Rows(), "verified", report.Verification != nil && report.Verification.OK)
	}
	if report.PruneErr != nil {
		job.Log.Warn("old backups could not be pruned", "error", report.PruneErr.Error())
		fields = append(fields, "pruned", false)
	}
	if report.Err != nil {
		job.Log.Error("backup run failed", append(fields, "error", report.Err.Error())...)
		return
	}
	job.Log.Info("backup run ended", fields...)
}

func listCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List the backups, the newest first", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newJob(command.ErrOrStderr(), false)
			if err != nil {
				return err
			}
			entries, err := job.List(command.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), entries)
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tDATABASE\tMADE\tROWS\tBYTES\tRESTORED")
			for _, e := range entries {
				fmt.Fprintf(table, "%s\t%q\t%s\t%d\t%d\t%s\n", e.ID, e.Database.Name, e.Started.Format(time.RFC3339), e.Rows(), e.Dump.Bytes, e.State())
			}
			if err := table.Flush(); err != nil {
				return err
			}
			for _, e := range entries {
				if e.Problem != "" {
					fmt.Fprintln(command.ErrOrStderr(), "backup:", e.Problem)
				}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the manifests as JSON")
	return command
}

func verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify [ID]", Short: "Restore a backup into a scratch server and compare", Args: atMostOneID,
		RunE: func(command *cobra.Command, arguments []string) error {
			job, err := newJob(command.ErrOrStderr(), false)
			if err != nil {
				return err
			}
			verification, err := job.Verify(command.Context(), first(arguments))
			if err != nil {
				return err
			}
			return printJSON(command.OutOrStdout(), verification)
		},
	}
}

func restoreCommand() *cobra.Command {
	var yes, noSafety, copied bool
	var from, masks string
	command := &cobra.Command{
		Use: "restore [ID]", Short: "Restore a backup under the database's name; what was there is kept under another", Args: atMostOneID,
		RunE: func(command *cobra.Command, arguments []string) error {
			job, err := newJob(command.ErrOrStderr(), true)
			if err != nil {
				return err
			}
			entry, err := job.Find(command.Context(), first(arguments))
			if err != nil {
				return err
			}
			if !yes {
				fmt.Fprintf(command.ErrOrStderr(), "Restore %s of database %q (%s, %d rows) over database %q? Stop its writers first.\n", entry.ID, entry.Database.Name, entry.State(), entry.Rows(), job.Name())
				for _, warning := range entry.Warnings {
					fmt.Fprintln(command.ErrOrStderr(), "The backup says:", warning)
				}
				input := bufio.NewReader(command.InOrStdin())
				confirm := func(what, name string) bool {
					fmt.Fprintf(command.ErrOrStderr(), "Type the name of the %s: ", what)
					// The end of the input is an answer, too: no.
					answer, _ := input.ReadString('\n')
					return strings.TrimSuffix(answer, "\n") == name
				}
				if entry.Database.Name != job.Name() && from == "" && confirm("database that the backup is of", entry.Database.Name) {
					from = entry.Database.Name
				}
				if !confirm("database to restore over", job.Name()) {
					return fault.WithHint(fault.Usage("not confirmed, nothing was done"), "type the database's name, or give --yes")
				}
			}
			options := backup.RestoreOptions{NoSafetyBackup: noSafety, From: from, Copy: copied}
			if masks != "" {
				if options.BeforeSwap, err = masking(job, masks); err != nil {
					return err
				}
			}
			grantFirst(command.Context(), job)
			restored, err := job.Restore(command.Context(), entry.ID, options)
			if err != nil {
				return err
			}
			return printJSON(command.OutOrStdout(), restored)
		},
	}
	command.Flags().BoolVar(&yes, "yes", false, "do not ask")
	command.Flags().BoolVar(&noSafety, "no-safety-backup", false, "make no backup of the present database")
	command.Flags().BoolVar(&copied, "copy", false, "restore into a copy that things are tried on: with the roles of the backup, and without comparing again")
	command.Flags().StringVar(&masks, "masks", "", "masks of columns, applied before anybody can read them: {\"users.email\": \"email\"}")
	command.Flags().StringVar(&from, "from", "", "name of the database that the backup is of, if that is another one")
	return command
}

func getCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use: "get [ID]", Short: "Download a backup: SQL, or the file that it is of", Args: atMostOneID,
		RunE: func(command *cobra.Command, arguments []string) error {
			job, err := newJob(command.ErrOrStderr(), false)
			if err != nil {
				return err
			}
			if output == "-" {
				return job.Get(command.Context(), first(arguments), command.OutOrStdout())
			}
			return job.GetFile(command.Context(), first(arguments), output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "-", "file to write; - writes to the standard output")
	return command
}

func pruneCommand() *cobra.Command {
	return &cobra.Command{
		Use: "prune", Short: "Remove the backups that are not to be kept, and what broken-off runs left", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newJob(command.ErrOrStderr(), false)
			if err != nil {
				return err
			}
			keep, err := retention()
			if err != nil {
				return err
			}
			pruned, err := job.Prune(command.Context(), keep)
			if err != nil {
				return err
			}
			return printJSON(command.OutOrStdout(), pruned)
		},
	}
}

func grantCommand() *cobra.Command {
	var role string
	command := &cobra.Command{
		Use: "grant", Short: "Make the role that may only read, and with WAL_USER the one that may only replicate", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			database, err := backup.ParseDatabase(os.Getenv("DATABASE_URL"))
			if err != nil {
				return err
			}
			if err := grant(command.Context(), database, role); err != nil {
				return err
			}
			if slot := os.Getenv("WAL_SLOT"); slot != "" && os.Getenv("WAL_USER") == "" {
				return database.DropSlot(command.Context(), slot)
			}
			return nil
		},
	}
	command.Flags().StringVar(&role, "role", "backup", "name of the role")
	return command
}

// grant makes the roles that the settings name.
func grant(ctx context.Context, database *backup.Database, role string) error {
	if err := database.Grant(ctx, role, os.Getenv("BACKUP_ROLE_PASSWORD")); err != nil {
		return err
	}
	if user := os.Getenv("WAL_USER"); user != "" {
		return database.GrantReplication(ctx, user, os.Getenv("WAL_PASSWORD"))
	}
	return nil
}

// grantFirst does so where the settings have the passwords: a server that has come in
// place of one that was lost does not know the roles yet. That it cannot be reached is
// no obstacle to what comes out of the bucket.
func grantFirst(ctx context.Context, job *backup.Job) {
	if os.Getenv("BACKUP_ROLE_PASSWORD") == "" || job.Database == nil {
		return
	}
	if err := grant(ctx, job.Database, setting("BACKUP_ROLE", "backup")); err != nil {
		job.Log.Warn("the roles for backups could not be made", "error", err.Error())
	}
}
