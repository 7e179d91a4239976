package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
)

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

// scanning is an archive on its way: what is written to it, pg_restore turns
// into SQL for the scanner.
type scanning struct {
	*io.PipeWriter
	done chan error
}

// Close tells that the archive is all there, and waits until it has been read.
func (a scanning) Close() error { return errors.Join(a.PipeWriter.Close(), <-a.done) }

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
