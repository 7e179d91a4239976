package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

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
