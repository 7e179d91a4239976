package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"berth/internal/fault"
)

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

// load feeds SQL to psql, which stops at the first error. What it reads is
// checked by the caller.
func (p Programs) load(ctx context.Context, d *Database, sql io.Reader, stopAtError bool) error {
	arguments := []string{"--no-psqlrc", "--no-password", "--quiet", "--output=/dev/null", "--set=VERBOSITY=verbose"}
	if stopAtError {
		arguments = append(arguments, "--set=ON_ERROR_STOP=1")
	}
	err := p.feed(ctx, d, sql, io.Discard, "psql", arguments...)
	// That status is of a statement that failed, in a session that did not.
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		return newRefusal(err)
	}
	return err
}

// refusal is what a server refuses a statement of a dump with.
type refusal struct {
	said  string // psql's words, without the place in PostgreSQL's source
	state string // SQLSTATE, or empty if psql did not say it
}

var sqlState = regexp.MustCompile(`:  ([0-9A-Z]{5}): `)

func newRefusal(err error) *refusal {
	r := &refusal{}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "LOCATION:  ") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	r.said = strings.Join(lines, "\n")
	if match := sqlState.FindStringSubmatch(r.said); match != nil {
		r.state = match[1]
	}
	return r
}

func (r *refusal) Error() string { return r.said }

// serversOwn reports whether the server is what is in trouble, not the statement:
// it is full, stopped, or broken. See the classes of PostgreSQL's error codes.
func (r *refusal) serversOwn() bool {
	for _, class := range []string{"08", "53", "57", "58", "F0", "XX"} {
		if strings.HasPrefix(r.state, class) {
			return true
		}
	}
	return r.state == ""
}
