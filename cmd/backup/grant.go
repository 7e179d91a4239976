package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"berth/internal/backup"
)

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

// grantFirst makes the roles where the settings have the passwords: a server that has come in
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
