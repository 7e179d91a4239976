package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/fault"
	"berth/internal/session"
)

func (a *app) forwardCommand() *cobra.Command {
	var o session.Forward
	command := &cobra.Command{
		Use:   "forward ENV PORT|LOCAL:REMOTE [--process NAME | --database | --service NAME]",
		Short: "Forward a port of 127.0.0.1 to a pod",
		Long: `Forward a port of 127.0.0.1 to a pod of an environment until interrupted: a web
pod, or another that the flags name. When that pod is replaced, later connections
go to the new one.`,
		Example:           "  berth forward production 9000:8000\n  berth forward production 5433:5432 --database",
		Args:              arguments(0, "ENV", "PORT"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) (err error) {
			if o.Local, o.Remote, err = ports(args[1]); err != nil {
				return err
			}
			if o.Process != "" && (o.Database || o.Service != "") || o.Database && o.Service != "" {
				return fault.Usage("--process, --database and --service each name other pods; take one of them")
			}
			return a.forward(command.Context(), args[0], o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.Process, "process", "", "to a pod of this process (default: web)")
	flags.BoolVar(&o.Database, "database", false, "to the PostgreSQL of the environment")
	flags.StringVar(&o.Service, "service", "", "to this service of the environment")
	return command
}

// ports reads PORT or LOCAL:REMOTE.
func ports(text string) (local, remote int, err error) {
	first, second, both := strings.Cut(text, ":")
	if !both {
		second = first
	}
	local, err = strconv.Atoi(first)
	if err == nil {
		remote, err = strconv.Atoi(second)
	}
	if err != nil || local < 0 || local > 65535 || remote < 1 || remote > 65535 {
		return 0, 0, fault.Usage("%q is not a port; give PORT or LOCAL:REMOTE, each of 1 to 65535", text)
	}
	return local, remote, nil
}

func (a *app) forward(ctx context.Context, environment string, o session.Forward) error {
	_, found, err := a.openSessions(ctx, environment)
	if err != nil {
		return err
	}
	return found.Forward(ctx, o, a.console.Reporter(), func(address, pod string) {
		a.console.Print("%s is port %d of %s, pod %s; Ctrl-C ends it", address, o.Remote, environment, pod)
	})
}
