package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/fault"
)

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
			if !copied {
				noteRestored(command.Context(), *job)
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
