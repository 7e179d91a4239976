package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// GetFile writes what [Job.Get] does into a file, which appears when it is complete.
func (j *Job) GetFile(ctx context.Context, id, path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".backup-")
	if err != nil {
		return fmt.Errorf("get a backup: %w", err)
	}
	defer os.Remove(file.Name()) // gone by then, if all is well
	err = j.Get(ctx, id, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Get writes the dump of a backup to w, decrypted and decompressed: SQL, or the
// archive or database file that it is. That it was
// all, and what was put there, is known only when Get returns nil.
func (j *Job) Get(ctx context.Context, id string, w io.Writer) error {
	entry, err := j.Find(ctx, id)
	if err != nil {
		return err
	}
	dump, err := j.Open(ctx, entry.Dump)
	if err != nil {
		return err
	}
	defer dump.Close()
	if _, err := io.Copy(w, dump); err != nil {
		return fmt.Errorf("get %s: %w", entry.ID, err)
	}
	return nil
}
