package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/fault"
	"berth/internal/release"
)

type metricsOptions struct {
	environment string
	during      time.Duration
	json        bool
}

func (a *app) metricsCommand() *cobra.Command {
	var o metricsOptions
	command := &cobra.Command{
		Use:   "metrics ENV [--for 10s]",
		Short: "Count the requests that an environment answers, by status and time",
		Long: `Read the ingress' counters twice, 10 seconds apart, and print the environment's
answers in between: how many, how many a second, by the class of their status, and
within which time half and 99 of 100 answers began.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.metrics(command.Context(), o)
		},
	}
	command.Flags().DurationVar(&o.during, "for", 10*time.Second, "how long to count")
	command.Flags().BoolVar(&o.json, "json", false, "write the figures as JSON")
	return command
}

func (a *app) metrics(ctx context.Context, o metricsOptions) error {
	if o.during < time.Second {
		return fault.Usage("--for must be a second or more")
	}
	c, p, err := a.open("", o.environment)
	if err != nil {
		return err
	}
	_, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	counted, err := found.Requests(ctx, o.environment, o.during, a.console.Reporter())
	if err != nil {
		return err
	}
	if o.json {
		return a.console.JSON(counted)
	}
	header := []string{"REV", "PODS", "REQUESTS", "A SECOND"}
	classes := []string{"2xx", "3xx", "4xx", "5xx"}
	var rows [][]string
	for _, r := range counted {
		row := []string{strconv.Itoa(r.Revision), strconv.Itoa(r.Pods), strconv.Itoa(r.Requests), fmt.Sprintf("%.1f", float64(r.Requests)/r.Seconds)}
		for _, class := range classes {
			row = append(row, strconv.Itoa(r.Classes[class]))
		}
		rows = append(rows, append(row, within(r, r.P50), within(r, r.P99)))
	}
	a.console.Table(append(append(header, classes...), "P50", "P99"), rows)
	return nil
}

// within writes a time that some answers began within.
func within(r release.Requests, seconds *float64) string {
	switch {
	case r.Requests == 0:
		return "-"
	case seconds == nil:
		return fmt.Sprintf("> %gs", r.Most)
	}
	return "≤ " + time.Duration(*seconds*float64(time.Second)).String()
}
