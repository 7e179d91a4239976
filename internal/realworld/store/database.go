package store

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// A querier runs statements: on whatever connection is free, or in one
// transaction. Parameters are written $1, $2, ..., which both databases know.
type querier interface {
	// Each calls scan for every row that a query yields.
	Each(ctx context.Context, statement string, arguments []any, scan func(row) error) error
	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, statement string, arguments ...any) (int64, error)
}

// A row copies the columns of one row to where the destinations point.
type row interface {
	Scan(destinations ...any) error
}

// A database is what SQLite and PostgreSQL do differently.
type database interface {
	querier
	// Write runs work in a transaction, which is rolled back when work fails.
	Write(ctx context.Context, work func(querier) error) error
	// Lock ends a SELECT inside of Write whose rows must not change until the
	// transaction ends.
	Lock() string
	// JSONArray is the aggregate function that makes a JSON array.
	JSONArray() string
	Ping(ctx context.Context) error
	Connections() (open, busy int)
	Name() string
	Close() error
}

// A uniqueError is a value that a UNIQUE constraint did not admit. Column is
// "table.column".
type uniqueError struct{ column string }

func (e uniqueError) Error() string { return e.column + " is not unique" }

func isNotUnique(err error, column string) bool {
	var unique uniqueError
	return errors.As(err, &unique) && unique.column == column
}

// one scans the first row into destinations and reports whether there is one.
func one(ctx context.Context, q querier, statement string, arguments []any, destinations ...any) (found bool, err error) {
	err = q.Each(ctx, statement, arguments, func(r row) error {
		found = true
		return r.Scan(destinations...)
	})
	return found, err
}

// A query is a statement in the making, with the arguments it has so far.
type query struct {
	strings.Builder
	arguments []any
}

// argument adds a value and returns the parameter that stands for it.
func (q *query) argument(value any) string {
	q.arguments = append(q.arguments, value)
	return "$" + strconv.Itoa(len(q.arguments))
}
