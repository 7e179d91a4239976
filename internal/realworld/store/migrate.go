package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// A migrationSet is the migrations of one kind of database.
type migrationSet struct {
	dialect goose.Dialect
	folder  string
}

var (
	sqliteMigrations   = migrationSet{goose.DialectSQLite3, "migrations/sqlite"}
	postgresMigrations = migrationSet{goose.DialectPostgres, "migrations/postgres"}
)

// migrate brings the tables up to date. That no one else does so at the same
// time is for the caller to see to.
func migrate(ctx context.Context, db *sql.DB, set migrationSet, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, set.folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(set.dialect, db, files, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return err
}
