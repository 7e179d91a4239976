package main

import (
	"github.com/spf13/cobra"

	"berth/internal/provider/local"
)

// bootCommand and haltCommand are what systemd runs as this machine starts and
// stops.
func (a *app) bootCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "boot",
		Hidden: true,
		Args:   arguments(0),
		RunE: func(command *cobra.Command, _ []string) error {
			return local.Boot(command.Context(), a.console.Reporter())
		},
	}
}

func (a *app) haltCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "halt",
		Hidden: true,
		Args:   arguments(0),
		RunE: func(command *cobra.Command, _ []string) error {
			return local.Halt(command.Context(), a.console.Reporter())
		},
	}
}
