package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"berth/internal/provider/local"
	"berth/internal/provider/local/supervisor"
)

// superviseCommand is what a local cluster's supervisor and its standby run.
func (a *app) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise FOLDER",
		Hidden: true,
		Args:   arguments(0, "FOLDER"),
		RunE: func(command *cobra.Command, args []string) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
			return supervisor.Run(command.Context(), supervisor.Dir(args[0]), []string{program, command.Name(), args[0]},
				func(ctx context.Context) {
					if err := local.KeepRules(ctx, log); err != nil {
						log.Error("keep the firewall's rules", "error", err)
					}
				})
		},
	}
}
