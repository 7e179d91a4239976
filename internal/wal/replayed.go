package wal

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
)

// A Replayed is a scratch server that holds what was there at a moment. The caller
// must call Stop.
type Replayed struct {
	*backup.Scratch
	Base *Base
	// Reached is the moment that was asked for, or of an unbounded replay when the
	// last transaction committed, or up to when there was none after that.
	Reached time.Time
	// Programs are those of the server.
	Programs backup.Programs
	// Seconds is how long replaying took, without fetching the base.
	Seconds float64

	place
	// auto is the server's postgresql.auto.conf, which the replay does without.
	auto []byte
}

// look asks the server how far it has come. The stream has said that it was at to, if
// that is not the zero time.
func (r *Replayed) look(ctx context.Context, c *Chain, at, to time.Time) error {
	connection, err := r.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	var last *time.Time
	var position string
	if err := connection.QueryRow(ctx, "SELECT pg_last_xact_replay_timestamp(), pg_last_wal_replay_lsn()::text").Scan(&last, &position); err != nil {
		return fmt.Errorf("ask how far the log was replayed: %w", err)
	}
	replayed, err := ParseLSN(position)
	if err != nil {
		return err
	}
	r.Reached = at
	if at.IsZero() {
		// What the stream said holds, if its position was reached: up to one record,
		// which it may have been in the midst of.
		const record = 1 << 20
		said := !to.IsZero()
		switch {
		case said && replayed+record < c.State.Position:
			return fmt.Errorf("%w: %w: replayed is %s, the stream has said %s", backup.ErrDamaged, ErrShort, replayed, c.State.Position)
		case said && replayed >= c.State.Position:
			r.Reached = to
		}
		if last != nil && (r.Reached.IsZero() || last.After(r.Reached)) {
			r.Reached = *last
		}
		if r.Reached.IsZero() {
			r.Reached = r.Base.Finished
		}
	}
	return nil
}

// read reads every row of every database, as pg_dump does.
func (r *Replayed) read(ctx context.Context) error {
	c, err := r.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	rows, err := c.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1")
	if err != nil {
		return fmt.Errorf("list the databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the databases: %w", err)
	}
	for _, name := range names {
		command, said := r.Programs.Command(ctx, r.Database.Named(name), "pg_dump", "--no-password")
		command.Stdout = io.Discard
		if err := said.Explain("pg_dump", command.Run()); err != nil {
			err = fmt.Errorf("read database %q: %w", name, err)
			if ctx.Err() != nil || r.Starved() {
				return cmp.Or(ctx.Err(), r.Explain(err))
			}
			return fmt.Errorf("%w: %w", backup.ErrDamaged, err)
		}
	}
	return nil
}

// lastWords is why PostgreSQL has ended.
func (r *Replayed) lastWords() string {
	said := ""
	for line := range strings.Lines(r.Log()) {
		// Those who asked meanwhile whether it is there were told that it is not.
		asked := strings.Contains(line, "FATAL:  the database system is")
		if strings.Contains(line, "FATAL:") && !asked || strings.Contains(line, "PANIC:") {
			said = strings.TrimSpace(line)
		}
	}
	return said
}

// lastTransaction is when the last transaction in the log was committed, as
// PostgreSQL says it.
func (r *Replayed) lastTransaction() string {
	at := "with no transaction"
	for line := range strings.Lines(r.Log()) {
		if _, time, ok := strings.Cut(line, "last completed transaction was at log time "); ok {
			at = strings.TrimSpace(time)
		}
	}
	return at
}
