// Package store keeps what the application knows in SQLite or PostgreSQL.
//
// The SQL is written once, in the files named for what they keep (user.go,
// article.go, ...), in the large part that both databases share. What differs
// is behind the interface database: sqlite.go and postgres.go. The tables are
// made by the migrations in the folder of that name, one set for each.
//
// Nothing is cached between requests, so any number of replicas, or two
// processes that share one SQLite file during a rolling update, always agree.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"berth/internal/fault"
)

// A Store answers the application's questions. It is safe for concurrent use.
// Its methods return [NotFoundError], [ForbiddenError] and [TakenError] for
// what the caller did wrong, and an error that wraps [ErrUnavailable] when the
// database cannot answer now and the same call may succeed later.
type Store struct {
	db database
}

// Open opens the database that a URL names, in SQLAlchemy's forms
// (sqlite:///relative/path, sqlite:////absolute/path, postgresql://...) or as
// postgres://..., and brings its tables up to date. Several processes may do so
// at the same time: one migrates and the others wait for it.
func Open(ctx context.Context, databaseURL string) (*Store, error) {
	scheme, rest, ok := strings.Cut(databaseURL, "://")
	if !ok {
		return nil, errDatabaseURL("it has no scheme")
	}
	var db database
	var err error
	switch scheme {
	case "sqlite":
		path, ok := strings.CutPrefix(rest, "/")
		if !ok || path == "" || path == ":memory:" || strings.ContainsAny(path, "?#") {
			return nil, errDatabaseURL("it names no file for SQLite")
		}
		db, err = openSQLite(ctx, path)
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, databaseURL)
	default:
		return nil, errDatabaseURL("its scheme is neither sqlite nor postgres")
	}
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// errDatabaseURL does not repeat the URL, which may hold a password.
func errDatabaseURL(problem string) error {
	return fault.WithHint(fmt.Errorf("DATABASE_URL: %s", problem),
		"Forms: sqlite:///relative/path.db, sqlite:////absolute/path.db, postgres://user:password@host:5432/name")
}

// Close waits for what is under way and closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Connections returns how many connections to the database are open, and how
// many of them are at work.
func (s *Store) Connections() (open, busy int) { return s.db.Connections() }

// Name returns the kind of database: "sqlite" or "postgres".
func (s *Store) Name() string { return s.db.Name() }

// NotFoundError says that there is no such "article", "comment" or "profile".
type NotFoundError struct{ Resource string }

func (e NotFoundError) Error() string { return e.Resource + " not found" }

// ForbiddenError says that an "article" or a "comment" is somebody else's.
type ForbiddenError struct{ Resource string }

func (e ForbiddenError) Error() string { return e.Resource + " is somebody else's" }

// TakenError says that another user has that "username" or "email".
type TakenError struct{ Field string }

func (e TakenError) Error() string { return e.Field + " is taken" }

// ErrUnavailable is wrapped by errors that may go away by themselves: the
// database restarts, is unreachable, or was busy for too long.
var ErrUnavailable = errors.New("database is unavailable")

// now is in microseconds since 1970, the unit of every stored time.
func now() int64 { return time.Now().UnixMicro() }

// A Time is a stored time, in microseconds since 1970.
type Time int64

// AppendText appends t in the form of RFC 3339, always in UTC and always with
// six digits of fraction, so that its texts sort as the times do.
func (t Time) AppendText(b []byte) ([]byte, error) {
	return time.UnixMicro(int64(t)).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z"), nil
}

// MarshalText returns what AppendText appends.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }
