package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/internal/fault"
)

// An Engine copies and reads databases that are a file each: SQLite's, of
// package sqlite.
type Engine interface {
	// Copy copies a database as it is at one moment, and replaces what is at the
	// destination in one transaction.
	Copy(ctx context.Context, from, to string) error
	// Read checks a database, and returns the engine's version and what is in it.
	Read(ctx context.Context, path string) (version string, contents Contents, err error)
}

// ParseFile reads the URL of a SQLite database: sqlite:///relative/path or
// sqlite:////absolute/path, as the application does. It reports whether it is one.
func ParseFile(text string) (path string, ok bool, err error) {
	rest, ok := strings.CutPrefix(text, "sqlite://")
	if !ok {
		return "", false, nil
	}
	path, ok = strings.CutPrefix(rest, "/")
	if !ok || path == "" || path == ":memory:" || strings.ContainsAny(path, "?#") {
		return "", true, fault.Usage("the database is not a file of SQLite such as sqlite:////data/app.db")
	}
	return path, true, nil
}

// storeFile puts a copy of the SQLite database into the bucket.
func (j *Job) storeFile(ctx context.Context, m *Manifest) (err error) {
	lock, err := lockFile(j.File)
	if err != nil {
		return err
	}
	defer lock.Close()
	folder, err := j.scratchFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	copied := filepath.Join(folder, "copy")
	if err := j.Engine.Copy(ctx, j.File, copied); err != nil {
		return explainFull(err)
	}
	if m.ServerVersion, m.Contents, err = j.Engine.Read(ctx, copied); err != nil {
		return err
	}
	file, err := os.Open(copied)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	m.ClientVersion, m.Format = m.ServerVersion, SQLite
	m.Database = DatabaseInfo{Name: j.Name(), Bytes: info.Size()}
	for _, warning := range m.Unchecked {
		m.Warnings = append(m.Warnings, warning)
		j.Log.Warn(warning, "backup", m.ID)
	}
	j.Log.Info("copied, uploading", "backup", m.ID, "database", j.Name(), "databaseBytes", info.Size())
	m.Dump, err = j.upload(ctx, m, func(ctx context.Context, w io.Writer) (int64, error) {
		// The upload ends its context when it fails, and then w fails, too.
		return io.Copy(w, file)
	})
	return err
}

// verifyFile restores a backup of SQLite into the scratch folder.
func (j *Job) verifyFile(ctx context.Context, m *Manifest, v *Verification) (err error) {
	folder, err := j.scratchFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	version, contents, err := j.fetchFile(ctx, m, filepath.Join(folder, "restored"))
	if err != nil {
		return err
	}
	v.note(version, contents, m)
	return nil
}

// fetchFile writes the database of a backup to path and compares it with the
// manifest.
func (j *Job) fetchFile(ctx context.Context, m *Manifest, path string) (version string, _ Contents, _ error) {
	if j.Engine == nil {
		return "", Contents{}, fault.Usage("backup %s is of SQLite, which this program does not read", m.ID)
	}
	source, err := j.Open(ctx, m.Dump)
	if err != nil {
		return "", Contents{}, err
	}
	defer source.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", Contents{}, err
	}
	_, err = io.Copy(file, source)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", Contents{}, explainFull(err)
	}
	version, contents, err := j.Engine.Read(ctx, path)
	if errors.Is(err, ErrUnsound) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return "", Contents{}, err
	}
	if err := m.differences(contents); err != nil {
		return "", Contents{}, fmt.Errorf("%w: what was restored is not what was dumped: %w", ErrDamaged, err)
	}
	return version, contents, nil
}

// lockFile refuses a second run. SQLite's own locks, which are of another kind,
// do not mind. No connection of this process may be open when it is unlocked:
// closing a file drops those locks of SQLite.
func lockFile(path string) (io.Closer, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("open the database: %w", err), "check DATABASE_URL, and that the database's volume is mounted")
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the database: %w", err), file.Close())
	}
	return file, nil
}

// scratchFolder makes a folder for a copy of the database.
func (j *Job) scratchFolder() (string, error) {
	folder, err := os.MkdirTemp(j.Scratch, "backup-") // without Scratch, in TMPDIR
	if err != nil {
		return "", fmt.Errorf("make the scratch folder: %w", err)
	}
	return folder, nil
}

func explainFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "database or disk is full") { // SQLite's words
		return fault.WithHint(fmt.Errorf("the disk is full: %w", err), "make room for another copy of the database")
	}
	return err
}
