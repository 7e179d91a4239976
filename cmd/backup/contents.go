package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/backup/sqlite"
	"berth/internal/fault"
)

// contentsCommand tells what is in the SQLite database at this moment, also while others
// write to it: a rehearsal compares it before and after a release command.
func contentsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "contents", Short: "Log the schema and the number of rows of a SQLite database", Args: none,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			// No bucket is needed, and the pod that runs this has no keys of one.
			job := &backup.Job{Scratch: os.Getenv("BACKUP_SCRATCH"), Engine: sqlite.Engine{}, Log: slog.New(slog.NewJSONHandler(command.ErrOrStderr(), nil))}
			if err := setDatabase(job); err != nil {
				return err
			}
			if job.File == "" {
				return fault.Usage("the database is not a file of SQLite such as sqlite:////data/app.db")
			}
			folder, err := os.MkdirTemp(job.Scratch, "contents-")
			if err != nil {
				return fmt.Errorf("make the scratch folder: %w", err)
			}
			defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
			copied := filepath.Join(folder, "copy")
			if err := job.Engine.Copy(command.Context(), job.File, copied); err != nil {
				return err
			}
			schema, err := sqlite.Schema(command.Context(), copied)
			if err != nil {
				return err
			}
			_, contents, err := job.Engine.Read(command.Context(), copied)
			if err != nil {
				return err
			}
			info, err := os.Stat(copied)
			if err != nil {
				return err
			}
			rows := map[string]int64{}
			for name, table := range contents.Tables {
				rows[name] = table.Rows
			}
			job.Log.Info("contents", "schema", schema, "rows", rows, "bytes", info.Size(), "sealed", sealed(command.Context()))
			return nil
		},
	}
}

// sealed reports whether the cluster's own API, which is there in any cluster, cannot be
// reached: then nothing else outside of the namespace can.
func sealed(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")))
	if err != nil {
		return true
	}
	_ = c.Close()
	return false
}
