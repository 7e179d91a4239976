package backup

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// A Restored says what a restore has done.
type Restored struct {
	ID string `json:"id"`
	// Kept is the database that served before, under its new name; of SQLite a
	// file beside it, or nothing if there was none.
	Kept string `json:"kept"`
	// Safety is the backup that was made of it first.
	Safety string `json:"safety,omitempty"`
	Rows   int64  `json:"rows"`
	// Seconds is how long all took, SwapSeconds how long the swap of the names.
	Seconds     float64 `json:"seconds"`
	SwapSeconds float64 `json:"swapSeconds"`
}

// RestoreOptions change how Restore goes about it.
type RestoreOptions struct {
	// NoSafetyBackup leaves out the backup of what is there now, for when it
	// cannot be dumped any more. It is kept under another name in any case.
	NoSafetyBackup bool
	// From is the name of the database that the backup is of, which has to be said
	// when that is another one.
	From string
	// Copy says that what is restored is to be tried things on, beside what serves: the
	// server gets the roles that the backup knows, every program that has the volume may
	// use the file, and what comes back is not compared, as verifying has done that.
	Copy bool
	// BeforeSwap, if set, is called with the restored database when all is ready, before
	// anybody else finds it under its name; nil for a file. What it returns an error of
	// is thrown away.
	BeforeSwap func(ctx context.Context, restored *Database) error
}

// Restore brings a backup back under the database's name. It is restored into
// a new database and compared first; then both names are swapped in one
// transaction. Up to its commit the old database serves, wherever this is
// interrupted; after it, it is kept under another name.
func (j *Job) Restore(ctx context.Context, id string, o RestoreOptions) (*Restored, error) {
	started := j.Now()
	entry, err := j.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	if entry.Damaged() {
		return nil, fmt.Errorf("restore %s: %w: %s", entry.ID, ErrDamaged, entry.Verified.Problem)
	}
	if (entry.Format == SQLite) != (j.File != "") {
		return nil, fault.Usage("restore %s: it is of %q, which is not the kind of database that DATABASE_URL names", entry.ID, entry.Database.Name)
	}
	if !j.owns(*entry) && o.From != entry.Database.Name {
		return nil, fault.WithHint(fault.Usage("restore %s: it is a backup of database %q, and would replace %q", entry.ID, entry.Database.Name, j.Name()),
			"if you want that, name the backed-up database: --from %q", entry.Database.Name)
	}
	m := &entry.Manifest
	r := &Restored{ID: m.ID, Rows: m.Rows()}
	restore := j.restoreServer
	if m.Format == SQLite {
		restore = j.restoreFile
	}
	if err := restore(ctx, m, r, o); err != nil {
		return nil, fmt.Errorf("restore %s: %w", m.ID, err)
	}
	r.Seconds = j.Now().Sub(started).Seconds()
	j.Log.Info("restored", "backup", m.ID, "rows", r.Rows, "kept", r.Kept, "seconds", r.Seconds, "swapSeconds", r.SwapSeconds)
	return r, nil
}

// restoreServer restores a dump into the database's server.
func (j *Job) restoreServer(ctx context.Context, m *Manifest, r *Restored, o RestoreOptions) error {
	maintenance, lock, err := j.Database.maintenance(ctx)
	if err != nil {
		return err
	}
	defer lock.Close(context.WithoutCancel(ctx))
	if err := lockRestores(ctx, lock, j.Database.Name()); err != nil {
		return err
	}
	var major int
	if err := lock.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&major); err != nil {
		return fmt.Errorf("ask the server for its version: %w", err)
	}
	p, err := FindPrograms(ctx, j.Bin, max(major, majorOf(m.ClientVersion)))
	if err != nil {
		return err
	}
	if err := canMake(ctx, maintenance, m); err != nil {
		return err
	}
	if err := canRename(ctx, lock, j.Database.Name()); err != nil {
		return err
	}
	if !o.NoSafetyBackup {
		safety, err := j.Run(ctx)
		if err != nil {
			return fmt.Errorf("make a safety backup first: %w", err)
		}
		r.Safety = safety.ID
	}
	fresh := j.Database.Named(sideName(j.Database.Name(), "_restore_"+m.ID))
	// One that an interrupted restore of the same backup has left.
	drop := "DROP DATABASE IF EXISTS " + pgx.Identifier{fresh.Name()}.Sanitize() + " WITH (FORCE)"
	if _, err := lock.Exec(ctx, drop); err != nil {
		return fmt.Errorf("remove what an earlier restore has left: %w", err)
	}
	if o.Copy {
		if err := j.loadGlobals(ctx, p, maintenance, m); err != nil {
			return err
		}
	}
	r.Kept = sideName(j.Database.Name(), "_before_"+NewID(j.Now()))
	if err := j.restoreAndSwap(ctx, p, maintenance, lock, fresh, m, r, o); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		// The answer to the commit may have been lost: then the name of what
		// was there before tells.
		serves := "the database serves as before"
		var swapped bool
		askErr := lock.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", r.Kept).Scan(&swapped)
		if swapped {
			serves = "the restored database serves"
		} else if askErr != nil {
			serves = "which database serves cannot be asked"
		}
		_, dropErr := lock.Exec(ctx, drop)
		return errors.Join(fmt.Errorf("%w; %s", err, serves), askErr, dropErr)
	}
	return nil
}

func (j *Job) restoreAndSwap(ctx context.Context, p Programs, maintenance *Database, lock *pgx.Conn, fresh *Database, m *Manifest, r *Restored, o RestoreOptions) error {
	where := inServer
	if o.Copy {
		where = inTrial
	}
	if _, err := j.restoreInto(ctx, p, maintenance, fresh, m, where); err != nil {
		return err
	}
	if err := m.Database.finish(ctx, lock, fresh.Name()); err != nil {
		return err
	}
	if o.BeforeSwap != nil {
		if err := o.BeforeSwap(ctx, fresh); err != nil {
			return err
		}
	}
	begun := time.Now()
	if err := j.swap(ctx, maintenance, fresh.Name(), r.Kept); err != nil {
		return fmt.Errorf("swap the databases: %w", err)
	}
	r.SwapSeconds = time.Since(begun).Seconds()
	if err := j.Database.Named(r.Kept).quiet(ctx); err != nil {
		j.Log.Warn("the old database may still receive from its subscriptions: disable them", "database", r.Kept, "error", err.Error())
	}
	return nil
}

// swap renames the database to kept and fresh to the database, in one
// transaction. Renaming waits until nobody is connected, and keeps newcomers
// waiting meanwhile; a second session disconnects those who are.
func (j *Job) swap(ctx context.Context, maintenance *Database, fresh, kept string) error {
	c, err := maintenance.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	other, err := maintenance.Connect(ctx)
	if err != nil {
		return err
	}
	defer other.Close(context.WithoutCancel(ctx))
	// By its number, as the name is another database's after the commit: a session
	// of that one must not be ended by a statement that is still under way.
	var serving uint32
	if err := other.QueryRow(ctx, "SELECT oid FROM pg_database WHERE datname = $1", j.Database.Name()).Scan(&serving); err != nil {
		return fmt.Errorf("look for database %s: %w", j.Database.Name(), err)
	}
	disconnecting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for disconnecting.Err() == nil {
			// What fails here shows as a rename that does not come about.
			_, _ = other.Exec(disconnecting, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = $1 OR datname = $2", serving, fresh)
			select {
			case <-disconnecting.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	defer func() { stop(); <-done }()
	rename := func(from, to string) string {
		return "ALTER DATABASE " + pgx.Identifier{from}.Sanitize() + " RENAME TO " + pgx.Identifier{to}.Sanitize()
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for _, statement := range []string{"SET LOCAL lock_timeout = '30s'", rename(j.Database.Name(), kept), rename(fresh, j.Database.Name())} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// canMake refuses a backup whose extensions the server does not have.
func canMake(ctx context.Context, server *Database, m *Manifest) error {
	missing, err := missingExtensions(ctx, server, m.Database.Extensions)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("the server does not have the extension %s, which the backup needs", strings.Join(missing, ", ")),
		"install the package of the extension for PostgreSQL there")
}

// canRename refuses a database with prepared transactions: they are no session that
// could be ended, and PostgreSQL renames no database that has any.
func canRename(ctx context.Context, c *pgx.Conn, name string) error {
	var prepared []string
	err := c.QueryRow(ctx, "SELECT ARRAY(SELECT gid FROM pg_prepared_xacts WHERE database = $1 ORDER BY prepared)", name).Scan(&prepared)
	if err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	if len(prepared) == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("%d prepared transactions of database %s keep it from being replaced: %s", len(prepared), name, strings.Join(prepared, ", ")),
		"end them there: COMMIT PREPARED or ROLLBACK PREPARED")
}

// quiet disables the subscriptions of a database that is kept: it must not take what
// is meant for the one that serves.
func (d *Database) quiet(ctx context.Context) error {
	c, err := d.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	// pg_subscription is of all databases; these columns everybody may read.
	rows, err := c.Query(ctx, "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND subenabled")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := c.Exec(ctx, "ALTER SUBSCRIPTION "+pgx.Identifier{name}.Sanitize()+" DISABLE"); err != nil {
			return err
		}
	}
	return nil
}

// lockRestores refuses a second restore of one database. The lock is in another
// database, as the database itself must be free of sessions.
func lockRestores(ctx context.Context, c *pgx.Conn, name string) error {
	hash := fnv.New64a()
	hash.Write([]byte("berth restore " + name))
	var locked bool
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(hash.Sum64())).Scan(&locked); err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	if !locked {
		return ErrBusy
	}
	return nil
}

// sideName puts a suffix to a database's name, within PostgreSQL's 63 bytes.
func sideName(name, suffix string) string {
	name = name[:min(len(name), 63-len(suffix))]
	for !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	return name + suffix
}
