package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/internal/backup"
	"berth/internal/bucket"
)

const (
	// ahead is how many segments are fetched before recovery asks for them, behind
	// how many are left for it to ask again.
	ahead  = 16
	behind = 4
)

// restoreScript is what recovery runs for a file: it says which one it wants, and
// waits until that is there, or is known not to come. The bucket's keys stay in this
// program.
const restoreScript = `folder=${0%/*}
case "$1" in *.history) [ -e "$folder/$1" ] || exit 1 ;; esac
echo "$1" >"$folder/wants.new" && mv "$folder/wants.new" "$folder/wants"
until [ -e "$folder/$1" ]; do
	[ ! -e "$folder/none" ] || [ "$(cat "$folder/none")" != "$1" ] || exit 1
	sleep 0.02
done
exec cp "$folder/$1" "$2"
`

// fetcher brings the segments of a chain from the bucket to a recovery.
type fetcher struct {
	*Archive
	scratch  *backup.Scratch
	folder   string
	chain    *Chain
	segments []string // in order
	bytes    int64    // of each
	timeline uint32   // theirs
	// taken is the newest timeline that there is. The server takes the next one when it
	// is promoted, as far as it knows: it looks for the history of each.
	taken uint32
}

// prepare makes the folder, and returns the restore_command.
func (f *fetcher) prepare() (command string, err error) {
	script := filepath.Join(f.folder, "restore")
	if err := errors.Join(os.Mkdir(f.folder, 0o700), os.WriteFile(script, []byte(restoreScript), 0o600)); err != nil {
		return "", fmt.Errorf("prepare for the log: %w", err)
	}
	if err := errors.Join(f.scratch.Give(f.folder), f.scratch.Give(script)); err != nil {
		return "", err
	}
	for timeline := f.timeline + 1; timeline <= f.taken; timeline++ {
		// Only whether it is there counts.
		if err := f.write(fmt.Sprintf("%08X.history", timeline), nil); err != nil {
			return "", err
		}
	}
	quoted := "'" + strings.ReplaceAll(strings.ReplaceAll(script, "'", `'\''`), "%", "%%") + "'"
	return "sh " + quoted + ` "%f" "%p"`, nil
}

// run fetches until the context ends.
func (f *fetcher) run(ctx context.Context) error {
	next, removed := 0, 0
	told := time.Now()
	for {
		text, err := os.ReadFile(filepath.Join(f.folder, "wants"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		wants := strings.TrimSpace(string(text))
		at, there := slices.BinarySearch(f.segments, wants)
		if wants != "" && (!there || at < removed) {
			if err := f.write("none", []byte(wants)); err != nil {
				return err
			}
		}
		for ; removed < min(at-behind, next); removed++ {
			if err := os.Remove(filepath.Join(f.folder, f.segments[removed])); err != nil {
				return err
			}
		}
		if next < len(f.segments) && next <= at+ahead {
			if err := f.fetch(ctx, f.segments[next]); err != nil {
				return fmt.Errorf("fetch segment %s: %w", f.segments[next], err)
			}
			next++
			if time.Since(told) > often {
				told = time.Now()
				f.Job.Log.Info(fmt.Sprintf("replaying: fetched %d of %d segments of the log", next, len(f.segments)))
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// fetch brings one segment. What the stream has put in the place of its pieces
// since they were listed is taken instead of them.
func (f *fetcher) fetch(ctx context.Context, segment string) error {
	for {
		err := f.assemble(ctx, segment)
		if !errors.Is(err, bucket.ErrNotFound) {
			return err
		}
		if moved, listErr := f.relist(ctx, segment); listErr != nil || !moved {
			return cmp.Or(listErr, err)
		}
	}
}

// relist lists a segment again, and reports whether other objects are there than
// before.
func (f *fetcher) relist(ctx context.Context, segment string) (moved bool, err error) {
	folder := root + f.chain.Name + "/"
	now := &Chain{segments: map[string]object{}, pieces: map[string][]object{}}
	for o, err := range f.below(ctx, folder+segment) {
		if err != nil {
			return false, err
		}
		if err := f.add(ctx, now, strings.TrimPrefix(o.name, folder), o); err != nil {
			return false, err
		}
	}
	before, complete := f.chain.segments[segment]
	o, completed := now.segments[segment]
	same := complete == completed && before.name == o.name &&
		slices.EqualFunc(f.chain.pieces[segment], now.pieces[segment], func(a, b object) bool { return a.name == b.name })
	if !completed && len(now.pieces[segment]) == 0 {
		return false, nil
	}
	if completed {
		f.chain.segments[segment] = o
	}
	f.chain.pieces[segment] = now.pieces[segment]
	return !same, nil
}

// assemble brings one segment, put together from pieces if it was never complete.
func (f *fetcher) assemble(ctx context.Context, segment string) error {
	if o, complete := f.chain.segments[segment]; complete {
		data, err := f.read(ctx, o.name)
		if err != nil {
			return err
		}
		if int64(len(data)) != f.bytes {
			return fmt.Errorf("%w: it has %d bytes, want %d", backup.ErrDamaged, len(data), f.bytes)
		}
		return f.write(segment, data)
	}
	whole := make([]byte, f.bytes)
	for _, o := range f.chain.pieces[segment] {
		var from int64
		if _, err := fmt.Sscanf(ownSegment.FindStringSubmatch(filepath.Base(o.name))[2], ".%X", &from); err != nil {
			return err
		}
		data, err := f.read(ctx, o.name)
		if err != nil {
			return err
		}
		if from+int64(len(data)) > f.bytes {
			return fmt.Errorf("%w: its piece at %d has %d bytes", backup.ErrDamaged, from, len(data))
		}
		copy(whole[from:], data)
	}
	return f.write(segment, whole)
}

func (f *fetcher) read(ctx context.Context, name string) ([]byte, error) {
	body, err := f.Job.Open(ctx, backup.Object{Name: name})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, f.bytes+1))
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("%w: %s is empty", backup.ErrDamaged, name)
	}
	return data, err
}

// write makes a file that appears when it is whole.
func (f *fetcher) write(name string, data []byte) error {
	path := filepath.Join(f.folder, name)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	if err := f.scratch.Give(path + ".new"); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
