package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/fault"
	"berth/internal/release"
)

type logsOptions struct {
	environment string
	release.LogOptions
	json bool
}

func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	command := &cobra.Command{
		Use:   "logs ENV [-f] [--since 1h] [--grep PATTERN] [--level LEVEL]",
		Short: "Print what an environment's pods log",
		Long: `Print the log lines of an environment's pods in the order of time. Lines in JSON
are shown in short; --json prints every line whole, as one object.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.logs(command.Context(), o)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&o.Follow, "follow", "f", false, "go on with new lines until interrupted")
	flags.DurationVar(&o.Since, "since", 0, "only lines that are at most this old, like 90s, 10m, 2h")
	flags.StringVar(&o.Grep, "grep", "", "only lines that match this regular expression")
	flags.StringVar(&o.Level, "level", "", "leave out lines below debug, info, warn or error")
	flags.BoolVar(&o.json, "json", false, "write one JSON object a line")
	return command
}

func (a *app) logs(ctx context.Context, o logsOptions) error {
	if o.Since < 0 {
		return fault.Usage("--since must not be negative; it is %s", o.Since)
	}
	c, p, err := a.open("", o.environment)
	if err != nil {
		return err
	}
	_, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	return found.Logs(ctx, o.environment, o.LogOptions, func(line release.Line) error {
		if o.json {
			text, err := json.Marshal(line)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.streams.Out, string(text))
			return err
		}
		return a.console.Print("%s %s  %s", line.Time.Local().Format("15:04:05.000"), line.Pod, summary(line.Text))
	})
}

// summary shortens a line that log/slog or its like wrote in JSON: level,
// message, and the rest as key=value. Any other line stays as it is.
func summary(text string) string {
	var record map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &record) != nil {
		return text
	}
	message, ok := record["msg"].(string)
	if !ok {
		return text
	}
	var b strings.Builder
	if level, ok := record["level"].(string); ok {
		fmt.Fprintf(&b, "%-5s ", level)
	}
	b.WriteString(message)
	for _, key := range slices.Sorted(maps.Keys(record)) {
		switch key {
		case "msg", "level", "time":
			continue
		}
		fmt.Fprintf(&b, " %s=%s", key, field(record[key]))
	}
	return b.String()
}

// field is a value as it stands in a summary: texts without quotes where they
// are not needed.
func field(value any) string {
	if text, ok := value.(string); ok && text != "" && !strings.ContainsAny(text, " =\"\n\t") {
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}

// since is a time as its distance from now.
func since(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	switch age := now.Sub(at); {
	case age < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(age.Seconds())))
	case age < time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", int(age.Hours()))
	default:
		return fmt.Sprintf("%dd", int(age.Hours()/24))
	}
}
