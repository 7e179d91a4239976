package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/fault"
)

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

// verifies reports whether the settings ask for backups to be verified.
func verifies() bool { return setting("BACKUP_VERIFY", "true") != "false" }

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
