package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"berth/internal/fault"
)

// Verify restores a backup into a PostgreSQL of its own, dumps the result and
// compares. A SQLite backup is read and compared. The result is stored beside the
// manifest. A damaged backup is marked so and returned with an error. Any other
// failure says nothing about the backup and changes nothing.
func (j *Job) Verify(ctx context.Context, id string) (*Verification, error) {
	entry, err := j.Latest(ctx, id)
	if err != nil {
		return nil, err
	}
	m := &entry.Manifest
	started := j.Now()
	j.Log.Info("verifying", "backup", m.ID)
	v := &Verification{ID: m.ID}
	if m.Format == SQLite {
		err = j.verifyFile(ctx, m, v)
	} else {
		err = j.verifyDump(ctx, m, v)
	}
	v.Time, v.Seconds = j.Now().UTC(), j.Now().Sub(started).Seconds()
	if err != nil {
		err = fmt.Errorf("verify %s: %w", m.ID, err)
		if !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		v.Problem = err.Error()
	}
	v.OK, v.DoesNotLoad = err == nil, errors.Is(err, ErrDoesNotLoad)
	if putErr := j.PutJSON(ctx, m.ID+".verified.json", v); putErr != nil {
		return nil, errors.Join(err, putErr)
	}
	if err != nil {
		return v, err
	}
	j.Log.Info("backup verified", "backup", m.ID, "tables", v.Tables, "rows", v.Rows, "sameSchema", v.SameSchema, "seconds", v.Seconds)
	return v, nil
}

// note takes down what was restored.
func (v *Verification) note(version string, c Contents, m *Manifest) {
	v.ServerVersion, v.Tables, v.Rows = version, len(c.Tables), c.Rows()
	v.SameSchema = c.Schema == m.Schema
}

// verifyDump restores a dump into a PostgreSQL server in the scratch folder.
func (j *Job) verifyDump(ctx context.Context, m *Manifest, v *Verification) (err error) {
	p, err := FindPrograms(ctx, j.Bin, majorOf(m.ServerVersion))
	if err != nil {
		return err
	}
	server, err := startScratch(ctx, p, j.Scratch)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = server.Explain(err)
		}
		err = errors.Join(err, server.Stop())
	}()
	if err := j.loadGlobals(ctx, p, server.Database, m); err != nil {
		return err
	}
	restored := server.Database.Named(m.Database.Name)
	if m.Database.Name == "postgres" || m.Database.Name == "template1" || m.Database.Name == "template0" {
		restored = server.Database.Named("restored")
	}
	contents, err := j.restoreInto(ctx, p, server.Database, restored, m, inScratch)
	if err != nil {
		return err
	}
	v.note(p.version, contents, m)
	return nil
}

// loadGlobals makes the roles that the dump's objects belong to. What fails is
// passed over: a tablespace has no folder here, and a role that is missed makes
// restoring the dump fail.
func (j *Job) loadGlobals(ctx context.Context, p Programs, d *Database, m *Manifest) error {
	sql, err := j.Open(ctx, m.Globals)
	if err != nil {
		return err
	}
	defer sql.Close()
	return p.load(ctx, d, sql, false)
}

// place is where a dump is restored.
type place int

const (
	inScratch place = iota // a server that is thrown away
	inServer               // the one that the restored database will serve on
	inTrial                // one that things are tried on
)

// restoreInto makes the database target through the maintenance database,
// fills it from the dump and compares it with the manifest.
func (j *Job) restoreInto(ctx context.Context, p Programs, maintenance, target *Database, m *Manifest, where place) (Contents, error) {
	foreign, err := j.createDatabase(ctx, maintenance, target.Name(), m, where)
	if err != nil {
		return Contents{}, err
	}
	sql, err := j.openSQL(ctx, m)
	if err != nil {
		return Contents{}, err
	}
	defer sql.Close()
	passed := newScanner()
	begun := time.Now()
	if err := p.load(ctx, target, io.TeeReader(sql, passed), true); err != nil {
		return Contents{}, j.explainLoad(ctx, err, maintenance, m, where, foreign)
	}
	if _, err := passed.finish(); err != nil {
		return Contents{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if where == inTrial {
		return m.Contents, nil
	}
	j.Log.Info("restored, comparing", "backup", m.ID, "seconds", time.Since(begun).Seconds())
	d, err := p.dump(ctx, target, Plain, m.encoding(), io.Discard)
	if err != nil {
		return Contents{}, fmt.Errorf("read what was restored: %w", err)
	}
	if err := m.differences(d.Contents); err != nil {
		return Contents{}, fmt.Errorf("%w: what was restored is not what was dumped: %w", ErrDamaged, err)
	}
	return d.Contents, nil
}

// createDatabase makes the database to restore into. A scratch server that does not
// have the locale takes C: rows are the same, their order does not count. It reports
// whether it did.
func (j *Job) createDatabase(ctx context.Context, maintenance *Database, name string, m *Manifest, where place) (foreign bool, err error) {
	c, err := maintenance.Connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	err = m.Database.create(ctx, c, name)
	if errors.Is(err, errNoLocale) && where == inScratch {
		j.Log.Warn("the scratch server does not have the database's locale; restoring with C", "backup", m.ID, "collate", m.Database.Collate, "locale", m.Database.Locale)
		info := m.Database
		info.Provider, info.Collate, info.Ctype = "c", "C", "C"
		foreign, err = true, info.create(ctx, c, name)
	}
	if err != nil {
		return foreign, err
	}
	info := m.Database
	if where == inScratch {
		info = info.withoutLibraries()
	}
	return foreign, info.settle(ctx, c, name)
}

// explainLoad tells a dump that cannot be loaded from a server that cannot load it.
func (j *Job) explainLoad(ctx context.Context, err error, server *Database, m *Manifest, where place, foreign bool) error {
	var refused *refusal
	if !errors.As(err, &refused) || refused.serversOwn() {
		return fmt.Errorf("restore: %w", err)
	}
	if foreign {
		return fault.WithHint(fmt.Errorf("restore: %w (%s): %w", errNoLocale, m.Database.Collate, err), "install the locale on the machine where PostgreSQL runs")
	}
	missing, askErr := missingExtensions(ctx, server, m.Database.Extensions)
	if askErr != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), askErr)
	}
	if len(missing) > 0 {
		return fault.WithHint(fmt.Errorf("restore: this server does not have the extension %s: %w", strings.Join(missing, ", "), err),
			"install the package of the extension for PostgreSQL there")
	}
	if where != inScratch {
		return fmt.Errorf("restore: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrDoesNotLoad, err)
}

// missingExtensions returns which extensions a server cannot make.
func missingExtensions(ctx context.Context, d *Database, names []string) (missing []string, err error) {
	c, err := d.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	err = c.QueryRow(ctx, "SELECT ARRAY(SELECT name FROM unnest($1::text[]) name WHERE name NOT IN (SELECT name FROM pg_available_extensions))", names).Scan(&missing)
	if err != nil {
		return nil, fmt.Errorf("ask for extensions: %w", err)
	}
	return missing, nil
}

// majorOf reads the major number of a version such as "17.5 (Debian 17.5-1)".
func majorOf(version string) (major int) {
	_, _ = fmt.Sscanf(version, "%d", &major) // 0 stands for any.
	return major
}
