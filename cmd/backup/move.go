package main

import (
	"github.com/spf13/cobra"

	"berth/internal/fault"
)

func moveCommand() *cobra.Command {
	var to string
	command := &cobra.Command{
		Use: "move --to HOST", Short: "Move the database to another server by a backup, and compare", Args: none,
		RunE: func(command *cobra.Command, _ []string) error {
			job, err := newJob(command.ErrOrStderr(), true)
			if err != nil {
				return err
			}
			if job.Database == nil {
				return fault.Usage("a database of SQLite has no server")
			}
			if to == "" {
				return fault.Usage("--to names the server to move to")
			}
			there, err := job.Database.At(to)
			if err != nil {
				return err
			}
			moved, err := job.Move(command.Context(), there)
			if err != nil {
				return err
			}
			at := *job
			at.Database = there
			noteRestored(command.Context(), at)
			return printJSON(command.OutOrStdout(), moved)
		},
	}
	command.Flags().StringVar(&to, "to", "", "host of the other server, which has the same superuser; host:port where the port is another")
	return command
}
