package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/session"
)

// longestSession is how long a pod of a session's own may last unless the call
// says otherwise.
const longestSession = 24 * time.Hour

func (a *app) runCommand() *cobra.Command {
	var o session.Command
	command := &cobra.Command{
		Use:   "run ENV [--process NAME] [--limit 24h] [-- COMMAND]",
		Short: "Run a command in a new pod of the application",
		Long: `Run a command in a new pod, with the image, environment, secrets, volumes and limits
of the deployed revision. The default command is a shell. On a terminal every key
goes to the program; elsewhere input and output are forwarded unchanged. The exit
status is the program's, and the pod is removed afterwards.`,
		Example:           "  berth run production -- ./manage.py createsuperuser\n  berth run staging -- sh -c 'cat > /app/uploads/logo.png' < logo.png",
		Args:              withCommand,
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.Args = args[1:]
			if o.Limit < time.Minute {
				return fault.Usage("--limit must be a minute or more; it is %s", o.Limit)
			}
			return a.session(command.Context(), args[0], func(ctx context.Context, s sessions, streams session.Streams, r progress.Reporter) error {
				return s.Run(ctx, o, streams, r)
			})
		},
	}
	command.Flags().StringVar(&o.Process, "process", "", "like the pods of this process (default: web)")
	command.Flags().DurationVar(&o.Limit, "limit", longestSession, "end it after this time")
	return command
}

func (a *app) execCommand() *cobra.Command {
	var o session.Command
	command := &cobra.Command{
		Use:   "exec ENV [--process NAME | --pod POD] [-- COMMAND]",
		Short: "Run a command in a running pod of the application",
		Long: `Run a command in a running pod: the newest ready one of the web process, or of
another process. The default command is a shell. The command uses memory of a pod that
serves; "berth run" starts a new pod instead.`,
		Example:           "  berth exec production -- ps aux\n  berth exec production --process worker",
		Args:              withCommand,
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.Args = args[1:]
			if o.Pod != "" && o.Process != "" {
				return fault.Usage("--pod names a pod of some process already; leave out --process")
			}
			return a.session(command.Context(), args[0], func(ctx context.Context, s sessions, streams session.Streams, _ progress.Reporter) error {
				return s.Exec(ctx, o, streams)
			})
		},
	}
	command.Flags().StringVar(&o.Process, "process", "", "in a pod of this process (default: web)")
	command.Flags().StringVar(&o.Pod, "pod", "", "in this pod")
	return command
}

func (a *app) psqlCommand() *cobra.Command {
	var o session.SQL
	var statements []string
	command := &cobra.Command{
		Use:   "psql ENV [--write] [-c SQL] [-- PSQL-ARGUMENTS]",
		Short: "Open psql on an environment's PostgreSQL, read-only by default",
		Long: `Open psql on the PostgreSQL of an environment, in a new pod. It logs in as a role
that can read every table and change none; --write logs in as the database's
owner, who can do everything.`,
		Example:           "  berth psql production -c 'SELECT count(*) FROM users'\n  berth psql production -- --csv < report.sql > report.csv",
		Args:              withCommand,
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			for _, statement := range statements {
				o.Args = append(o.Args, "--command="+statement)
			}
			o.Args = append(o.Args, args[1:]...)
			return a.session(command.Context(), args[0], func(ctx context.Context, s sessions, streams session.Streams, r progress.Reporter) error {
				return s.Psql(ctx, o, streams, r)
			})
		},
	}
	command.Flags().BoolVar(&o.Write, "write", false, "log in as the database's owner")
	command.Flags().StringArrayVarP(&statements, "command", "c", nil, "run this SQL and exit; may be repeated")
	return command
}

// withCommand checks the arguments of a command that takes ENV and, behind --,
// another program's command line. Without the -- that program's flags would be
// taken for berth's.
func withCommand(command *cobra.Command, args []string) error {
	at := command.ArgsLenAtDash()
	if at < 0 {
		at = len(args)
	}
	if err := arguments(0, "ENV")(command, args[:min(at, len(args))]); err != nil {
		if at > 1 {
			return fault.WithHint(err, "put the program to run after --, as in: berth %s %s -- %s", command.Name(), args[0], args[1])
		}
		return err
	}
	return nil
}

// session opens the sessions of an environment and does work with them. Only on
// a terminal it says what it is doing: elsewhere all that is written is the
// program's.
func (a *app) session(ctx context.Context, environment string, work func(context.Context, sessions, session.Streams, progress.Reporter) error) error {
	_, found, err := a.openSessions(ctx, environment)
	if err != nil {
		return err
	}
	r := progress.Discard
	if a.console.Interactive || a.verbose {
		r = a.console.Reporter()
	}
	err = work(ctx, found, session.Streams{In: a.streams.In, Out: a.streams.Out, Err: a.streams.Err}, r)
	if err != nil && ctx.Err() != nil {
		// As a shell says of a program that Ctrl-C ended.
		return &session.Exit{Status: 130}
	}
	return err
}

func (a *app) openSessions(ctx context.Context, environment string) (*config.Config, sessions, error) {
	c, p, err := a.openEnvironment(ctx, &environment)
	if err != nil {
		return nil, nil, err
	}
	cluster, _, err := a.connect(ctx, c, p)
	if err != nil {
		return nil, nil, err
	}
	found, err := a.parts.sessions(cluster, c.Name, environment)
	return c, found, err
}
