package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"berth/internal/fault"
)

// restoreFile brings a backup of SQLite back into the database's file: into a
// new file beside it first, which is compared, then by one transaction of
// SQLite's. Renaming would not do: a program that has the database open would go on
// with the old file, and its write-ahead log would be taken for the new one's.
func (j *Job) restoreFile(ctx context.Context, m *Manifest, r *Restored, o RestoreOptions) (err error) {
	_, err = os.Stat(j.File)
	there := !errors.Is(err, fs.ErrNotExist)
	if err != nil && there {
		return err
	}
	if there && !o.NoSafetyBackup {
		safety, err := j.Run(ctx)
		if err != nil {
			return fmt.Errorf("make a safety backup first: %w", err)
		}
		r.Safety = safety.ID
	}
	if there {
		lock, err := lockFile(j.File)
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	fresh := j.File + "_restore_" + m.ID
	defer func() { err = errors.Join(err, removeIfThere(fresh)) }()
	if _, _, err := j.fetchFile(ctx, m, fresh); err != nil {
		return err
	}
	if o.BeforeSwap != nil {
		if err := o.BeforeSwap(ctx, nil); err != nil {
			return err
		}
	}
	begun := time.Now()
	if there {
		kept := j.File + "_before_" + NewID(j.Now())
		if err := j.keepFile(ctx, kept); err != nil {
			return err
		}
		r.Kept = filepath.Base(kept)
		defer func() {
			if err != nil {
				err = errors.Join(err, removeIfThere(kept))
			}
		}()
	} else if err := createPrivate(j.File); err != nil {
		return err
	}
	if err := j.Engine.Copy(ctx, fresh, j.File); err != nil {
		return fmt.Errorf("%w; the database is as before", explainFull(err))
	}
	if o.Copy {
		// The application's image runs as another user than this one.
		if err := os.Chmod(j.File, 0o666); err != nil {
			return err
		}
	}
	r.SwapSeconds = time.Since(begun).Seconds()
	return nil
}

// keepFile copies the database as it is before a restore.
func (j *Job) keepFile(ctx context.Context, kept string) error {
	if err := createPrivate(kept); err != nil {
		return err
	}
	if err := j.Engine.Copy(ctx, j.File, kept); err != nil {
		err = fault.WithHint(fmt.Errorf("keep the present database: %w; nothing was changed", explainFull(err)),
			"is it damaged? Then stop the application, move the file away with those that end in -wal and -shm, and restore again")
		return errors.Join(err, removeIfThere(kept))
	}
	return nil
}

// createPrivate makes an empty file, which SQLite takes for an empty database,
// for its owner alone.
func createPrivate(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
