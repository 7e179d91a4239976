package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/fault"
	"berth/internal/wal"
)

func streamCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stream", Short: "Bring the write-ahead log into the bucket as it is written, until interrupted", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newServerJob(command)
			if err != nil {
				return err
			}
			keep, err := strconv.ParseInt(setting("WAL_KEEP_MB", "700"), 10, 64)
			if err != nil || keep < 64 {
				return fault.Usage("WAL_KEEP_MB must be a number of megabytes, 64 or more")
			}
			stream := &wal.Stream{
				Archive: &wal.Archive{Job: job}, Folder: setting("WAL_FOLDER", filepath.Join(os.TempDir(), "wal")),
				Slot: setting("WAL_SLOT", "berth"), Keep: keep << 20,
			}
			return stream.Run(command.Context())
		},
	}
}

func momentCommand() *cobra.Command {
	var when string
	command := &cobra.Command{
		Use: "moment", Short: "Make a backup of the database as it was at a moment, from the write-ahead log", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newServerJob(command)
			if err != nil {
				return err
			}
			made, err := moment(command.Context(), job, when)
			if err != nil {
				return err
			}
			return printJSON(command.OutOrStdout(), made)
		},
	}
	command.Flags().StringVar(&when, "at", "latest", "latest, how long ago like 5m, or when like 2026-01-02T15:04:05Z")
	return command
}

func moment(ctx context.Context, job *backup.Job, when string) (*backup.Manifest, error) {
	reached, err := at(when, job.Now())
	if err != nil {
		return nil, err
	}
	grantFirst(ctx, job)
	made, err := (&wal.Archive{Job: job}).Moment(ctx, reached)
	if err != nil {
		if errors.Is(err, wal.ErrNoWindow) && fault.Hint(err) == "" {
			err = fault.WithHint(err, "see what can be reached with: backup windows")
		}
		return nil, err
	}
	job.Log.Info("the moment is a backup", "backup", made.ID, "moment", made.Moment, "rows", made.Rows())
	return made, nil
}

func fillCommand() *cobra.Command {
	var when string
	var o wal.Filling
	command := &cobra.Command{
		Use: "fill --data FOLDER --version N", Short: "Make the data of a new server as the present one was at a moment, from the write-ahead log", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newServerJob(command)
			if err != nil {
				return err
			}
			if o.Data == "" || o.Version == 0 {
				return fault.Usage("--data names the folder to make, and --version the major version of the server that starts on it")
			}
			if o.At, err = at(when, job.Now()); err != nil {
				return err
			}
			if os.Getenv("BACKUP_ROLE_PASSWORD") != "" {
				o.Grant = func(ctx context.Context, d *backup.Database) error {
					return grant(ctx, d, setting("BACKUP_ROLE", "backup"))
				}
			}
			filled, err := (&wal.Archive{Job: job}).Fill(command.Context(), o)
			if err != nil {
				if errors.Is(err, wal.ErrNoWindow) && fault.Hint(err) == "" {
					err = fault.WithHint(err, "see what can be reached with: backup windows")
				}
				return err
			}
			return printJSON(command.OutOrStdout(), filled)
		},
	}
	command.Flags().StringVar(&when, "at", "latest", "latest, how long ago like 5m, or when like 2026-01-02T15:04:05Z")
	command.Flags().StringVar(&o.Data, "data", "", "folder to make, on the volume of the new server")
	command.Flags().IntVar(&o.Version, "version", 0, "major version of the new server")
	return command
}

func windowsCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: "windows", Short: "List the windows of time in which any moment can be restored", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newJob(command.ErrOrStderr(), false)
			if err != nil {
				return err
			}
			windows, err := (&wal.Archive{Job: job}).Windows(command.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), windows)
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "FROM\tTO\tREPLAYED TO\tSERVER")
			for _, w := range windows {
				replayed := "never"
				if !w.Verified.IsZero() {
					replayed = w.Verified.UTC().Format(time.RFC3339)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", w.From.UTC().Format(time.RFC3339), w.To.UTC().Format(time.RFC3339), replayed, w.Chain)
			}
			return table.Flush()
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return command
}

// base replays the log from the newest base to its end, which is what the last day has
// brought, makes another base, and prunes.
func base(ctx context.Context, job *backup.Job, verify bool, keep int) error {
	if job.Database == nil {
		return fault.Usage("BACKUP_CONTINUOUS is not for SQLite")
	}
	asWAL := *job
	asWAL.Database = job.Database.As(os.Getenv("WAL_USER"), os.Getenv("WAL_PASSWORD"))
	archive := &wal.Archive{Job: &asWAL}
	replay := func() error {
		if !verify {
			return nil
		}
		_, err := archive.Verify(ctx)
		return err
	}
	replayed := replay()
	made, err := archive.Base(ctx)
	if err == nil {
		err = archive.Await(ctx, made, time.Minute)
	}
	if err != nil {
		return errors.Join(err, replayed)
	}
	if errors.Is(replayed, wal.ErrNoWindow) { // There was none yet.
		replayed = replay()
	}
	if _, err := archive.Prune(ctx, keep); err != nil {
		job.Log.Warn("the old log could not be pruned", "error", err.Error())
	}
	return replayed
}

// noteRestored notes in the log of a server that it was given the data, where its log is
// kept.
func noteRestored(ctx context.Context, job backup.Job) {
	if setting("BACKUP_CONTINUOUS", "false") != "true" || job.Database == nil {
		return
	}
	// It is done; an interrupt is of no use any more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := (&wal.Archive{Job: &job}).Restored(ctx); err != nil {
		job.Log.Warn("the latest moment is not of this server until its log is verified", "error", err.Error())
	}
}

// newServerJob reads the settings of a job on a PostgreSQL server.
func newServerJob(command *cobra.Command) (*backup.Job, error) {
	job, err := newJob(command.ErrOrStderr(), true)
	if err == nil && job.Database == nil {
		err = fault.Usage("SQLite has no write-ahead log to stream")
	}
	return job, err
}

// at reads a moment: "latest", which is the zero time, how long ago, or when.
func at(text string, now time.Time) (time.Time, error) {
	if text == "latest" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	moment, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return moment, fault.Usage("--at is %q, and must be latest, an age like 5m, or a time like %s", text, now.UTC().Format(time.RFC3339))
	}
	return moment, nil
}
