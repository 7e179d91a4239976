package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgresDatabase uses pgx directly, which prepares each statement once for
// every connection and exchanges values in binary.
type postgresDatabase struct {
	pool *pgxpool.Pool
}

// connectTime is how long making a connection may take. A database that has
// just moved to another address leaves nobody at the old one to refuse, and
// pgx would wait two minutes for an answer.
const connectTime = 5 * time.Second

// attemptTime is how long one attempt to look up the database's address, or to
// reach it, may take of that. A packet that is lost is sent again from the same
// port, after one second by TCP and after five by the resolver, and whatever on
// the way forgot the first will forget the second; a new attempt has a port of
// its own.
const attemptTime = time.Second

func openPostgres(ctx context.Context, databaseURL string) (database, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err) // pgx leaves the password out
	}
	reach := config.ConnConfig
	reach.ConnectTimeout = min(reach.ConnectTimeout, connectTime)
	lookup, dial := reach.LookupFunc, reach.DialFunc
	reach.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		return attempt(ctx, func(ctx context.Context) ([]string, error) { return lookup(ctx, host) })
	}
	reach.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return attempt(ctx, func(ctx context.Context) (net.Conn, error) { return dial(ctx, network, address) })
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL database: %w", err)
	}
	if err := migratePostgres(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("migrate PostgreSQL database: %w", postgresError(err))
	}
	return &postgresDatabase{pool}, nil
}

// attempt does again what had no answer in time. An answer, a refusal among
// them, is final.
func attempt[T any](ctx context.Context, once func(context.Context) (T, error)) (T, error) {
	for {
		limited, cancel := context.WithTimeout(ctx, attemptTime)
		result, err := once(limited)
		late := limited.Err() != nil
		cancel()
		if err == nil || !late || ctx.Err() != nil {
			return result, err
		}
	}
}

func migratePostgres(ctx context.Context, pool *pgxpool.Pool) (err error) {
	const wait, attempts = 1, 300 // seconds, for another replica that migrates
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(wait, attempts))
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrate(ctx, db, postgresMigrations, goose.WithSessionLocker(locker))
}

func (d *postgresDatabase) Each(ctx context.Context, statement string, arguments []any, scan func(row) error) error {
	return postgresQuerier{d.pool}.Each(ctx, statement, arguments, scan)
}

func (d *postgresDatabase) Exec(ctx context.Context, statement string, arguments ...any) (int64, error) {
	return postgresQuerier{d.pool}.Exec(ctx, statement, arguments...)
}

func (d *postgresDatabase) Write(ctx context.Context, work func(querier) error) error {
	return postgresError(pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return work(postgresQuerier{tx}) }))
}

// Lock lets other transactions refer to the rows, by a foreign key, meanwhile.
func (d *postgresDatabase) Lock() string { return " FOR NO KEY UPDATE" }

func (d *postgresDatabase) JSONArray() string { return "json_agg" }

func (d *postgresDatabase) Name() string { return "postgres" }

func (d *postgresDatabase) Ping(ctx context.Context) error { return postgresError(d.pool.Ping(ctx)) }

func (d *postgresDatabase) Connections() (open, busy int) {
	stat := d.pool.Stat()
	return int(stat.TotalConns()), int(stat.AcquiredConns())
}

func (d *postgresDatabase) Close() error {
	d.pool.Close()
	return nil
}

// postgresQuerier is the pool or a transaction.
type postgresQuerier struct {
	on interface {
		Query(ctx context.Context, statement string, arguments ...any) (pgx.Rows, error)
		Exec(ctx context.Context, statement string, arguments ...any) (pgconn.CommandTag, error)
	}
}

func (q postgresQuerier) Each(ctx context.Context, statement string, arguments []any, scan func(row) error) error {
	rows, err := q.on.Query(ctx, statement, arguments...)
	if err != nil {
		return postgresError(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return postgresError(rows.Err())
}

func (q postgresQuerier) Exec(ctx context.Context, statement string, arguments ...any) (int64, error) {
	tag, err := q.on.Exec(ctx, statement, arguments...)
	return tag.RowsAffected(), postgresError(err)
}

// postgresError gives PostgreSQL's errors the names that this package knows
// them by. The codes are those of the manual's appendix A.
func postgresError(err error) error {
	var failure *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		if failure.Code == "23505" { // unique_violation
			// PostgreSQL names such a constraint table_column_key.
			column := strings.TrimSuffix(strings.TrimPrefix(failure.ConstraintName, failure.TableName+"_"), "_key")
			return uniqueError{failure.TableName + "." + column}
		}
		switch failure.Code[:2] {
		case "08", "40", "53", "57": // connection, transaction rollback, insufficient resources, operator intervention
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &connect): // connectTime among others, which looks like the caller's own deadline
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
