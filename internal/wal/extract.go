package wal

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/backup"
)

// extract brings the base's files into the data folder and verifies them by their
// manifest.
func (a *Archive) extract(ctx context.Context, b *Base, scratch *backup.Scratch, data string) error {
	if err := errors.Join(os.Mkdir(data, 0o700), scratch.Give(data)); err != nil {
		return err
	}
	body, err := a.Job.Open(ctx, b.Object)
	if err != nil {
		return err
	}
	defer body.Close()
	folder, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer folder.Close()
	archive := tar.NewReader(&telling{Reader: body, told: time.Now(), tell: func(bytes int64) {
		a.Job.Log.Info(fmt.Sprintf("fetched %s of %s", humanize.Bytes(uint64(bytes)), humanize.Bytes(uint64(max(0, b.Object.PlainBytes)))), "base", b.ID)
	}})
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = unpack(folder, header, archive)
		}
		if err == nil {
			err = scratch.Give(filepath.Join(data, header.Name))
		}
		if err != nil {
			return fmt.Errorf("unpack base %s: %w", b.ID, err)
		}
	}
	if _, err := io.Copy(io.Discard, body); err != nil { // where the checksum is judged
		return err
	}
	// The log is not there yet.
	output, err := scratch.Command(ctx, "pg_verifybackup", "--no-parse-wal", "--exit-on-error", "--quiet", data).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return err
	}
	err = fmt.Errorf("base %s: pg_verifybackup: %w: %s", b.ID, err, strings.TrimSpace(string(output)))
	// Only what it says itself is a judgement. It may not have run, or not to its end.
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.Exited() {
		return fmt.Errorf("%w: %w", backup.ErrDamaged, err)
	}
	return err
}

// telling is a reader that tells now and then how far it is: a large base takes hours, and
// who follows the log is cut off if nothing comes.
type telling struct {
	io.Reader
	bytes int64
	told  time.Time
	tell  func(bytes int64)
}

// often is how often something that takes long tells how far it is.
const often = 10 * time.Second

func (t *telling) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.bytes += int64(n)
	if time.Since(t.told) > often {
		t.told = time.Now()
		t.tell(t.bytes)
	}
	return n, err
}

// unpack makes one file or folder of a tar. A base has no others.
func unpack(folder *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		if name == "." {
			return nil
		}
		if err := folder.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg:
		file, err := folder.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	}
	return fmt.Errorf("%w: %q is neither a file nor a folder", backup.ErrDamaged, header.Name)
}
