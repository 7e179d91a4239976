package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"berth/internal/fault"
)

// SQLite admits one writer at a time. So there is one connection for writing,
// for which writers queue in this process in the order they came, and a pool of
// others for reading, which the write-ahead log lets go on meanwhile. A second
// process that writes is waited for by busy_timeout; transactions begin
// IMMEDIATE because one that read first could not be retried by waiting.
type sqliteDatabase struct {
	reader, writer *sql.DB
	// prepared holds the reader's statements by their text, of which there are
	// as many as the combinations of filters of a list.
	prepared sync.Map
}

const pragmas = "_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=synchronous(NORMAL)"

func openSQLite(ctx context.Context, path string) (database, error) {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, fault.WithHint(fmt.Errorf("open SQLite database %s: there is no folder %s", path, folder), "Create the folder, or mount the volume.")
	}
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("create SQLite database: %w", err)
	}
	file := "file:" + url.PathEscape(path) + "?" + pragmas
	writer, err := sql.Open("sqlite", file+"&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open SQLite database %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	if err := migrateSQLite(ctx, writer, folder); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate SQLite database %s: %w", path, err), writer.Close())
	}
	reader, err := sql.Open("sqlite", file+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite database %s: %w", path, err), writer.Close())
	}
	connections := max(4, runtime.GOMAXPROCS(0))
	reader.SetMaxOpenConns(connections)
	reader.SetMaxIdleConns(connections)
	return &sqliteDatabase{reader: reader, writer: writer}, nil
}

// createPrivate makes the file for its owner alone, which SQLite would not; its
// companions, the write-ahead log among them, take after it. One that is there
// stays as it is, and unopened: closing it here would drop the locks that
// another connection of this process has on it.
func createPrivate(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// migrateSQLite holds a lock on the database's folder, as SQLite itself has
// none that spans the several transactions of a migration. The lock goes with
// the process, and leaves no file behind.
func migrateSQLite(ctx context.Context, db *sql.DB, folder string) (err error) {
	lock, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if err != unix.EWOULDBLOCK {
			return fmt.Errorf("lock folder %s: %w", folder, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for another process that migrates: %w", ctx.Err())
		}
	}
	return migrate(ctx, db, sqliteMigrations)
}

func (d *sqliteDatabase) Each(ctx context.Context, statement string, arguments []any, scan func(row) error) error {
	prepared, err := d.prepare(ctx, statement)
	if err != nil {
		return sqliteError(err)
	}
	rows, err := prepared.QueryContext(ctx, arguments...)
	return eachRow(rows, err, scan)
}

// prepare is not told of a request that ends, because the statement outlives it.
func (d *sqliteDatabase) prepare(ctx context.Context, statement string) (*sql.Stmt, error) {
	if prepared, ok := d.prepared.Load(statement); ok {
		return prepared.(*sql.Stmt), nil
	}
	fresh, err := d.reader.PrepareContext(context.WithoutCancel(ctx), statement)
	if err != nil {
		return nil, err
	}
	prepared, raced := d.prepared.LoadOrStore(statement, fresh)
	if raced {
		if err := fresh.Close(); err != nil {
			return nil, err
		}
	}
	return prepared.(*sql.Stmt), nil
}

func (d *sqliteDatabase) Exec(ctx context.Context, statement string, arguments ...any) (changed int64, err error) {
	err = d.Write(ctx, func(q querier) error {
		changed, err = q.Exec(ctx, statement, arguments...)
		return err
	})
	return changed, err
}

func (d *sqliteDatabase) Write(ctx context.Context, work func(querier) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return sqliteError(err)
	}
	if err := work(sqliteTx{tx}); err != nil {
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			return errors.Join(err, sqliteError(rollback))
		}
		return err
	}
	return sqliteError(tx.Commit())
}

// Lock is empty: a transaction that began IMMEDIATE is the only writer.
func (d *sqliteDatabase) Lock() string { return "" }

func (d *sqliteDatabase) JSONArray() string { return "json_group_array" }

func (d *sqliteDatabase) Name() string { return "sqlite" }

func (d *sqliteDatabase) Ping(ctx context.Context) error {
	var answer int
	_, err := one(ctx, d, "SELECT 1 FROM users LIMIT 1", nil, &answer)
	return err
}

func (d *sqliteDatabase) Connections() (open, busy int) {
	reader, writer := d.reader.Stats(), d.writer.Stats()
	return reader.OpenConnections + writer.OpenConnections, reader.InUse + writer.InUse
}

// Close closes the writer last: the last connection to go folds the
// write-ahead log into the database.
func (d *sqliteDatabase) Close() error { return errors.Join(d.reader.Close(), d.writer.Close()) }

type sqliteTx struct{ tx *sql.Tx }

func (t sqliteTx) Each(ctx context.Context, statement string, arguments []any, scan func(row) error) error {
	rows, err := t.tx.QueryContext(ctx, statement, arguments...)
	return eachRow(rows, err, scan)
}

func (t sqliteTx) Exec(ctx context.Context, statement string, arguments ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, statement, arguments...)
	if err != nil {
		return 0, sqliteError(err)
	}
	return result.RowsAffected()
}

func eachRow(rows *sql.Rows, err error, scan func(row) error) error {
	if err != nil {
		return sqliteError(err)
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return sqliteError(errors.Join(rows.Err(), rows.Close()))
}

// sqliteError gives SQLite's errors the names that this package knows them by.
func sqliteError(err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch code := failure.Code(); {
	case code == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		// "constraint failed: UNIQUE constraint failed: users.email_key (2067)"
		_, column, _ := strings.Cut(failure.Error(), "UNIQUE constraint failed: ")
		column, _, _ = strings.Cut(column, " ")
		return uniqueError{column}
	case code&0xff == sqlite3.SQLITE_BUSY, code&0xff == sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
