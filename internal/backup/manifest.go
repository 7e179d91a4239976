package backup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Manifest says what a backup holds. It is written after everything else, so
// its being there means that the backup is whole.
type Manifest struct {
	ID      string    `json:"id"`
	Tool    string    `json:"tool"`
	Started time.Time `json:"started"`
	// Moment is which moment of the database it holds, where that is not Started:
	// it was made of what the write-ahead log brought back.
	Moment time.Time `json:"moment,omitzero"`
	// Seconds is how long dumping and uploading took.
	Seconds       float64      `json:"seconds"`
	Database      DatabaseInfo `json:"database"`
	ServerVersion string       `json:"serverVersion"`
	ClientVersion string       `json:"clientVersion"`
	Format        Format       `json:"format,omitempty"`
	// OwnEncoding says that the dump is in the database's encoding, and not in UTF-8.
	OwnEncoding bool   `json:"ownEncoding,omitempty"`
	Dump        Object `json:"dump"`
	// Globals is empty for SQLite, which has none.
	Globals Object `json:"globals,omitzero"`
	// Recipients are the age recipients that can decrypt; none: not encrypted.
	Recipients []string `json:"recipients,omitempty"`
	// Warnings say what the backup does not hold: what pg_dump warned of, and what
	// the role that it was made as may not see.
	Warnings []string `json:"warnings,omitempty"`
	Contents
}

// Of is the moment of the database that the backup holds.
func (m Manifest) Of() time.Time {
	if !m.Moment.IsZero() {
		return m.Moment
	}
	return m.Started
}

// encoding is what the database is dumped in: UTF-8, but for one that does not know
// what its bytes stand for, or has some that UTF-8 has nothing for.
func (m Manifest) encoding() string {
	if m.OwnEncoding || m.Database.Encoding == "SQL_ASCII" {
		return m.Database.Encoding
	}
	return "UTF8"
}

// validate refuses a manifest that names other objects than its own: a writer
// to the bucket must not choose what is read or deleted elsewhere.
func (m Manifest) validate(id string) error {
	if m.ID != id {
		return fmt.Errorf("%w: it is of %q", ErrDamaged, m.ID)
	}
	objects := []Object{m.Dump, m.Globals}
	if m.Format == SQLite {
		objects = objects[:1]
	}
	for _, object := range objects {
		if !strings.HasPrefix(object.Name, id+".") || strings.Contains(object.Name, "/") {
			return fmt.Errorf("%w: it names the object %q", ErrDamaged, object.Name)
		}
	}
	return nil
}

// An Object is one file of a backup in the bucket.
type Object struct {
	// Name is its name below the prefix.
	Name string `json:"name"`
	// Bytes and SHA256 are of the object as it lies in the bucket.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// PlainBytes is the size of what is in it.
	PlainBytes int64 `json:"plainBytes"`
}

// Contents are the tables of a dump, as [scanner] reads them from SQL.
type Contents struct {
	// Tables are by qualified name, quoted where SQL wants it.
	Tables map[string]Table `json:"tables"`
	// LargeObjects counts the pieces of large objects; Checksum covers them.
	LargeObjects Table `json:"largeObjects"`
	// Sequences counts the sequences; Checksum covers where they are.
	Sequences Table `json:"sequences"`
	// Schema is a checksum of all other lines, but for those that name versions.
	Schema string `json:"schema"`

	// Unchecked is what of a SQLite database could be read, but not checked.
	Unchecked []string `json:"-"`
	// Sections are in how many parts the rows of a table came.
	Sections map[string]int `json:"-"`
}

// A Table is how many rows a table has, and the sum of their xxHash64 values:
// the same whatever order they come in. A [Digest] makes it.
type Table struct {
	Rows     int64  `json:"rows"`
	Checksum string `json:"checksum"`
}

// Rows is the number of rows of all tables.
func (c Contents) Rows() (total int64) {
	for _, table := range c.Tables {
		total += table.Rows
	}
	return total
}

// differences tells how got differs from c in what data is there.
func (c Contents) differences(got Contents) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(c.Tables)) {
		want, table := c.Tables[name], got.Tables[name]
		switch _, there := got.Tables[name]; {
		case !there:
			all = append(all, fmt.Errorf("table %s is missing", name))
		case want.Rows != table.Rows:
			all = append(all, fmt.Errorf("table %s has %d rows, want %d", name, table.Rows, want.Rows))
		case want != table:
			all = append(all, fmt.Errorf("table %s has other rows than it had", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got.Tables)) {
		if _, known := c.Tables[name]; !known {
			all = append(all, fmt.Errorf("table %s was not in the dump", name))
		}
	}
	if c.LargeObjects != got.LargeObjects {
		all = append(all, errors.New("the large objects are not what they were"))
	}
	if c.Sequences != got.Sequences {
		all = append(all, errors.New("the sequences are not where they were"))
	}
	return errors.Join(all...)
}

// A Verification is the result of restoring a backup.
type Verification struct {
	ID   string    `json:"id"`
	OK   bool      `json:"ok"`
	Time time.Time `json:"time"`
	// Seconds is how long it took.
	Seconds       float64 `json:"seconds"`
	ServerVersion string  `json:"serverVersion"`
	Tables        int     `json:"tables"`
	Rows          int64   `json:"rows"`
	// SameSchema tells whether the definitions dump to the same text as well.
	// PostgreSQL words some of them differently, so that a difference is no failure.
	SameSchema bool `json:"sameSchema"`
	// DoesNotLoad says that PostgreSQL refused a statement of the dump.
	DoesNotLoad bool `json:"doesNotLoad,omitempty"`
	// Problem is what was wrong, if it is not OK.
	Problem string `json:"problem,omitempty"`
}

// note takes down what was restored.
func (v *Verification) note(version string, c Contents, m *Manifest) {
	v.ServerVersion, v.Tables, v.Rows = version, len(c.Tables), c.Rows()
	v.SameSchema = c.Schema == m.Schema
}
