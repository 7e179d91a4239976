package wal

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/backup"
	"berth/internal/fault"
)

// A Replayed is a scratch server that holds what was there at a moment. The caller
// must call Stop.
type Replayed struct {
	*backup.Scratch
	Base *Base
	// Reached is the moment that was asked for, or of an unbounded replay when the
	// last transaction committed, or up to when there was none after that.
	Reached time.Time
	// Programs are those of the server.
	Programs backup.Programs
	// Seconds is how long replaying took, without fetching the base.
	Seconds float64

	place
	// auto is the server's postgresql.auto.conf, which the replay does without.
	auto []byte
}

// place is where a server is replayed, and how: to be thrown away, or to stay.
type place struct {
	// data is the folder of its data; empty means one in the scratch folder.
	data string
	// taken is the newest timeline that it must not take.
	taken    uint32
	settings []string
}

// Replay brings a base to a moment, or where that is the zero time to the end of the
// log.
func (a *Archive) Replay(ctx context.Context, c *Chain, b *Base, at time.Time) (*Replayed, error) {
	return a.replay(ctx, c, b, at, place{})
}

func (a *Archive) replay(ctx context.Context, c *Chain, b *Base, at time.Time, in place) (_ *Replayed, err error) {
	p, err := backup.FindPrograms(ctx, a.Job.Bin, majorOf(b.ServerVersion))
	if err != nil {
		return nil, err
	}
	if p.Major() != majorOf(b.ServerVersion) {
		return nil, fault.WithHint(fmt.Errorf("the log of PostgreSQL %d %w, and %d is what is here", majorOf(b.ServerVersion), errOtherVersion, p.Major()),
			"install it: apt-get install postgresql-%d", majorOf(b.ServerVersion))
	}
	scratch, err := backup.NewScratch(p, a.Job.Scratch)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(in.explain(scratch, err), scratch.Stop())
		}
	}()
	a.Job.Log.Info("fetching the base", "base", b.ID, "bytes", b.Object.Bytes)
	in.data = cmp.Or(in.data, filepath.Join(scratch.Folder, "data"))
	if err := a.extract(ctx, b, scratch, in.data); err != nil {
		return nil, err
	}
	r := &Replayed{Scratch: scratch, Base: b, Programs: p, place: in}
	if r.auto, err = os.ReadFile(filepath.Join(in.data, autoConf)); err != nil {
		return nil, fmt.Errorf("prepare for recovery: %w", err)
	}
	began := time.Now()
	a.Job.Log.Info("replaying the log", "base", b.ID, "to", target(at))
	if err := a.recover(ctx, c, r, at); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	a.Job.Log.Info("replayed the log", "base", b.ID, "reached", r.Reached.UTC().Format(time.RFC3339Nano), "seconds", r.Seconds)
	return r, nil
}

// errOtherVersion is in the chain when the programs of the server's version are not here.
var errOtherVersion = errors.New("can be replayed by that version alone")

func target(at time.Time) string {
	if at.IsZero() {
		return "the end"
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// recover starts the server on the base's files and waits until it has replayed.
func (a *Archive) recover(ctx context.Context, c *Chain, r *Replayed, at time.Time) error {
	names, to, said := c.run(r.Base)
	f := &fetcher{
		Archive: a, scratch: r.Scratch, folder: filepath.Join(r.Folder, "log.fetched"),
		chain: c, segments: names, bytes: r.Base.SegmentBytes, timeline: r.Base.Timeline, taken: r.taken,
	}
	command, err := f.prepare()
	if err != nil {
		return err
	}
	err = a.start(ctx, f, r, command, at)
	if err != nil && !at.IsZero() && strings.Contains(r.Log(), "recovery ended before configured recovery target was reached") {
		if !said || at.After(to) {
			return fmt.Errorf("%w: %w: %s", ErrNoWindow, ErrShort, r.lastTransaction())
		}
		// Nothing was committed after the moment, and the stream was further.
		if err := os.RemoveAll(f.folder); err != nil {
			return err
		}
		if _, err := f.prepare(); err != nil {
			return err
		}
		err = a.start(ctx, f, r, command, time.Time{})
	}
	if err != nil {
		return err
	}
	if !said {
		to = time.Time{}
	}
	return r.look(ctx, c, at, to)
}

// autoConf is what ALTER SYSTEM writes.
const autoConf = "postgresql.auto.conf"

// start runs the server with the log at hand.
func (a *Archive) start(ctx context.Context, f *fetcher, r *Replayed, command string, at time.Time) error {
	// Nothing of the server's own settings is wanted: not its archive_command, not
	// its preloaded libraries.
	empty, hba, signal := filepath.Join(r.Folder, "postgresql.conf"), filepath.Join(r.Folder, "pg_hba.conf"), filepath.Join(r.data, "recovery.signal")
	for path, text := range map[string]string{empty: "", hba: "local all all trust\n", signal: "", filepath.Join(r.data, autoConf): ""} {
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), r.Give(path)); err != nil {
			return fmt.Errorf("prepare for recovery: %w", err)
		}
	}
	settings := append([]string{
		"config_file=" + empty, "hba_file=" + hba, "ident_file=" + empty, "restore_command=" + command, "recovery_target_timeline=current",
		// Without it no setting has to be as large as the server's was.
		"hot_standby=off", "max_prepared_transactions=100", "max_wal_size=256MB",
	}, r.settings...)
	if !at.IsZero() {
		settings = append(settings, "recovery_target_time="+at.UTC().Format("2006-01-02 15:04:05.999999+00"), "recovery_target_inclusive=on", "recovery_target_action=promote")
	}
	// A log that cannot be fetched ends the replay.
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fetched := make(chan error, 1)
	go func() {
		err := f.run(starting)
		if err != nil {
			cancel(err)
		}
		fetched <- err
	}()
	err := r.Start(starting, r.data, r.Base.Superuser, settings...)
	cancel(nil)
	if fetchErr := <-fetched; fetchErr != nil && ctx.Err() == nil {
		return fetchErr
	}
	switch {
	case errors.Is(err, backup.ErrEnded) && strings.Contains(r.Log(), "for Tablespace/CREATE"):
		return fault.WithHint(fmt.Errorf("a tablespace was made after base %s, which cannot be replayed: %s", r.Base.ID, r.lastWords()),
			"a server with tablespaces of its own cannot be backed up continuously: set continuous to false")
	case errors.Is(err, backup.ErrEnded):
		return fmt.Errorf("%w: it cannot be replayed: %w: %s", backup.ErrDamaged, err, r.lastWords())
	}
	return err
}

// lastWords is why PostgreSQL has ended.
func (r *Replayed) lastWords() string {
	said := ""
	for line := range strings.Lines(r.Log()) {
		// Those who asked meanwhile whether it is there were told that it is not.
		asked := strings.Contains(line, "FATAL:  the database system is")
		if strings.Contains(line, "FATAL:") && !asked || strings.Contains(line, "PANIC:") {
			said = strings.TrimSpace(line)
		}
	}
	return said
}

// lastTransaction is when the last transaction in the log was committed, as
// PostgreSQL says it.
func (r *Replayed) lastTransaction() string {
	at := "with no transaction"
	for line := range strings.Lines(r.Log()) {
		if _, time, ok := strings.Cut(line, "last completed transaction was at log time "); ok {
			at = strings.TrimSpace(time)
		}
	}
	return at
}

// look asks the server how far it has come. The stream has said that it was at to, if
// that is not the zero time.
func (r *Replayed) look(ctx context.Context, c *Chain, at, to time.Time) error {
	connection, err := r.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	var last *time.Time
	var position string
	if err := connection.QueryRow(ctx, "SELECT pg_last_xact_replay_timestamp(), pg_last_wal_replay_lsn()::text").Scan(&last, &position); err != nil {
		return fmt.Errorf("ask how far the log was replayed: %w", err)
	}
	replayed, err := ParseLSN(position)
	if err != nil {
		return err
	}
	r.Reached = at
	if at.IsZero() {
		// What the stream said holds, if its position was reached: up to one record,
		// which it may have been in the midst of.
		const record = 1 << 20
		said := !to.IsZero()
		switch {
		case said && replayed+record < c.State.Position:
			return fmt.Errorf("%w: %w: replayed is %s, the stream has said %s", backup.ErrDamaged, ErrShort, replayed, c.State.Position)
		case said && replayed >= c.State.Position:
			r.Reached = to
		}
		if last != nil && (r.Reached.IsZero() || last.After(r.Reached)) {
			r.Reached = *last
		}
		if r.Reached.IsZero() {
			r.Reached = r.Base.Finished
		}
	}
	return nil
}

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
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: base %s: pg_verifybackup: %w: %s", backup.ErrDamaged, b.ID, err, strings.TrimSpace(string(output)))
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

var leadingNumber = regexp.MustCompile(`^\d+`)

// majorOf reads the major number of a version such as "17.5 (Debian 17.5-1)".
func majorOf(version string) (major int) {
	_, _ = fmt.Sscanf(leadingNumber.FindString(version), "%d", &major) // 0 stands for any.
	return major
}
