package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"berth/internal/fault"
)

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

// toSQL runs pg_restore, which writes an archive as SQL: what pg_dump would have
// written at once, so that it can be read and restored in the same way. Unlike
// "pg_restore --list" this reads all of the archive, and fails where it is cut
// off.
func (p Programs) toSQL(ctx context.Context, archive io.Reader, sql io.Writer) error {
	if err := p.feed(ctx, nil, archive, sql, "pg_restore", "--file=-"); err != nil {
		return err
	}
	// Nothing should be left, and writers must not be kept waiting; the
	// end is where the object's checksum is judged.
	_, err := io.Copy(io.Discard, archive)
	return err
}

// scanning is an archive on its way: what is written to it, pg_restore turns
// into SQL for the scanner.
type scanning struct {
	*io.PipeWriter
	done chan error
}

func (p Programs) scanArchive(ctx context.Context, s *scanner) scanning {
	r, w := io.Pipe()
	a := scanning{w, make(chan error, 1)}
	go func() {
		err := p.toSQL(ctx, r, s)
		if err != nil {
			err = fmt.Errorf("read the archive back: %w", err)
		}
		r.CloseWithError(err)
		a.done <- err
	}()
	return a
}

// Close tells that the archive is all there, and waits until it has been read.
func (a scanning) Close() error { return errors.Join(a.PipeWriter.Close(), <-a.done) }

// openSQL opens the dump of a backup as SQL, whatever its format is.
func (j *Job) openSQL(ctx context.Context, m *Manifest) (io.ReadCloser, error) {
	dump, err := j.Open(ctx, m.Dump)
	if err != nil || m.Format != Custom {
		return dump, err
	}
	// An older pg_restore does not read a newer one's archives.
	p, err := FindPrograms(ctx, j.Bin, majorOf(m.ClientVersion))
	if err != nil {
		return nil, errors.Join(err, dump.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := p.toSQL(ctx, dump, w)
		w.CloseWithError(err)
		done <- dump.Close()
	}()
	return converted{r, func() error {
		cancel()
		return errors.Join(r.Close(), <-done)
	}}, nil
}

// converted is a dump that pg_restore turns into SQL.
type converted struct {
	io.Reader
	close func() error
}

func (c converted) Close() error { return c.close() }
