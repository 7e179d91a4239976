package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/logs"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/release"
)

type logsOptions struct {
	environment  string
	since, until moment
	grep, level  string
	follow, json bool
}

func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	command := &cobra.Command{
		Use:   "logs ENV [-f] [--since 1h] [--until 10m] [--grep PATTERN] [--level LEVEL] [--json]",
		Short: "Print the logs of an environment's pods",
		Long: `Print the log lines of an environment's pods in order of time. JSON lines are
shown in a short form; --json prints every line in full, as one object.

With --since, --until or --grep, lines that the cluster no longer has come from the
archive in the bucket: those of the last 24 hours, or since --since. If the cluster
cannot be reached, all lines come from there.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.logs(command.Context(), o)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&o.follow, "follow", "f", false, "follow new lines until interrupted")
	flags.Var(&o.since, "since", "only lines since this time: an age like 90s, 2h or 7d, or a time like 2026-08-20T10:00:00Z or \"2026-08-20 12:00\"")
	flags.Var(&o.until, "until", "only lines until this time, in the same forms")
	flags.StringVar(&o.grep, "grep", "", "only lines that match this regular expression")
	flags.StringVar(&o.level, "level", "", "leave out lines below debug, info, warn or error")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line")
	return command
}

func (a *app) logs(ctx context.Context, o logsOptions) error {
	query, err := o.query(time.Now())
	if err != nil {
		return err
	}
	c, p, err := a.openEnvironment(ctx, &o.environment)
	if err != nil {
		return err
	}
	print := a.printLine
	if o.json {
		print = a.printLineJSON
	}
	return a.readLogs(ctx, wanted{c, p, o.environment, query, o.follow, o.pastWanted()}, a.console.Reporter(), print)
}

// query is what the flags ask for.
func (o logsOptions) query(now time.Time) (logs.Query, error) {
	q := logs.Query{From: o.since.at(now), Until: o.until.at(now), Level: o.level}
	if o.follow && !q.Until.IsZero() {
		return q, fault.Usage("--follow never ends, and --until does; use one of them")
	}
	var err error
	if q.Grep, err = logs.Pattern(o.grep); err != nil {
		return q, err
	}
	return q, q.Validate()
}

// pastWanted says whether the flags ask for lines that the cluster may not have any
// more. With -f only new lines matter, unless --since says otherwise.
func (o logsOptions) pastWanted() bool {
	return o.since != "" || !o.follow && (o.until != "" || o.grep != "")
}

// wanted are lines of an environment's log.
type wanted struct {
	config      *config.Config
	provider    provider.Provider
	environment string
	query       logs.Query
	// follow goes on with new ones, and archive takes those that the cluster has not
	// any more.
	follow, archive bool
}

// readLogs calls each for the lines from the cluster and from the archive, in the order
// of time.
func (a *app) readLogs(ctx context.Context, w wanted, r progress.Reporter, each func(logs.Line) error) error {
	past := &past{app: a, ctx: ctx, wanted: w, reporter: r}
	options := release.LogOptions{Query: w.query, Follow: w.follow}
	if w.archive {
		options.Past = func(held logs.Held) iter.Seq[logs.Line] { return past.lines(held, nil) }
	}
	// That nobody takes the lines says nothing of the cluster.
	var unwritten error
	take := func(line logs.Line) error {
		unwritten = each(line)
		return unwritten
	}
	_, found, err := a.connect(ctx, w.config, w.provider)
	if err == nil {
		err = found.Logs(ctx, w.environment, options, take)
	}
	if err == nil || unwritten != nil || past.asked || w.follow || fault.IsUsage(err) || ctx.Err() != nil {
		return errors.Join(err, past.err)
	}
	for line := range past.lines(nil, err) {
		if err := take(line); err != nil {
			return err
		}
	}
	if past.some {
		err = nil // which has been told
	}
	return errors.Join(err, past.err)
}

// past is the archive of an environment as it is read once. What
// goes wrong with it does not keep the lines back that the cluster has.
type past struct {
	app *app
	ctx context.Context
	wanted
	reporter progress.Reporter

	// asked and some say that the archive was read, and that it had lines.
	asked, some bool
	// err is what could not be read.
	err error
}

// lines reads the archived lines that the cluster does not hold. With the first one
// it says where they come from; away is why the cluster could not be asked, or nil.
func (p *past) lines(held logs.Held, away error) iter.Seq[logs.Line] {
	p.asked = true
	return func(yield func(logs.Line) bool) {
		found, err := p.search(held, away)
		p.err = err
		if err != nil && p.follow {
			// It may be long until the command ends and tells.
			p.reporter.Note(err.Error())
		}
		if found == nil {
			return
		}
		defer func() { p.err = errors.Join(p.err, found.Close()) }()
		for line, err := range found.Lines {
			if err != nil {
				p.err = errors.Join(p.err, err)
				return
			}
			if !p.some {
				p.some = true
				p.reporter.Note(whence(held.Oldest(), away))
			}
			if !yield(line) {
				return
			}
		}
	}
}

// search returns nil where there is no archive.
func (p *past) search(held logs.Held, away error) (*logs.Found, error) {
	bucket, err := p.provider.Bucket(p.ctx)
	if errors.Is(err, provider.ErrNoBucket) {
		if away == nil {
			p.reporter.Note("only lines that the cluster still has, because there is no bucket: " + fault.Hint(err))
		}
		return nil, nil
	}
	if away != nil && errors.Is(err, provider.ErrNotUp) {
		return nil, nil // where the cluster is not, which is the error
	}
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	archive, err := p.app.parts.logs(bucket, p.config, p.environment)
	if err != nil {
		return nil, err
	}
	return archive.Search(p.ctx, p.query, held, p.reporter)
}

// whence says which lines come from the archive.
func whence(oldest time.Time, away error) string {
	switch {
	case away != nil:
		return "all lines come from the archive: " + away.Error()
	case oldest.IsZero():
		return "all lines come from the archive"
	}
	return "lines before " + oldest.Local().Format(time.DateTime) + ", and those of pods that are gone, come from the archive"
}

func (a *app) printLine(line logs.Line) error {
	level, text := line.Parts()
	return a.console.LogLine(console.LogLine{
		Time: line.Time, Pod: line.Pod, Level: level, Severity: line.Severity(), Text: text,
	}, time.Now())
}

// printLineJSON escapes what a terminal acts on, besides what JSON escapes.
func (a *app) printLineJSON(line logs.Line) error {
	var text, b strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return fmt.Errorf("write a line of pod %s in JSON: %w", line.Pod, err)
	}
	for _, r := range strings.TrimSuffix(text.String(), "\n") {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	_, err := fmt.Fprintln(a.streams.Out, b.String())
	return err
}
