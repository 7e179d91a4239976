package backup

import "berth/internal/fault"

// A Format is the format of a dump. Manifests from before there were several do not
// have it; then it is [Plain].
type Format string

const (
	// Plain is SQL, which psql restores.
	Plain Format = "plain"
	// Custom is pg_dump's archive, from which pg_restore takes all or a part.
	Custom Format = "custom"
	// SQLite is a database file of SQLite.
	SQLite Format = "sqlite"
)

// ParseFormat reads the format that dumps of PostgreSQL are to have.
func ParseFormat(text string) (Format, error) {
	if f := Format(text); f == Plain || f == Custom {
		return f, nil
	}
	return "", fault.Usage("the format is %q, and must be plain or custom", text)
}

// extension is what the names of files in a format begin with, after the ID.
func (f Format) extension() string {
	switch f {
	case Custom:
		return ".dump"
	case SQLite:
		return ".sqlite"
	}
	return ".sql"
}
