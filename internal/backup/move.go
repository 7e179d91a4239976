package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// Moved says what a move has brought to another server.
type Moved struct {
	// ID is the backup that it went through.
	ID string `json:"backup"`
	// From and To are the servers' versions.
	From   string `json:"from"`
	To     string `json:"to"`
	Tables int    `json:"tables"`
	Rows   int64  `json:"rows"`
	// Seconds is how long it took, DumpSeconds the backup of it.
	Seconds     float64 `json:"seconds"`
	DumpSeconds float64 `json:"dumpSeconds"`
	// Warnings is what is not on the other server as it was here.
	Warnings []string `json:"warnings,omitempty"`
}

// Move copies the database to another server, usually of a newer version: its roles
// with their passwords, and its data, by a backup in the bucket that is restored
// there and compared. A database of its name on the other server is replaced, so a
// move can be repeated. The database itself does not change; what is written to it
// meanwhile is not copied. Both servers are entered as a superuser.
func (j *Job) Move(ctx context.Context, to *Database) (*Moved, error) {
	started := j.Now()
	moved := &Moved{}
	if err := j.movable(ctx, to, moved); err != nil {
		return nil, fmt.Errorf("move %s: %w", j.Name(), err)
	}
	m, err := j.Run(ctx)
	if err != nil {
		return nil, err
	}
	moved.ID, moved.Tables, moved.Rows, moved.DumpSeconds = m.ID, len(m.Tables), m.Rows(), m.Seconds
	moved.Warnings = append(moved.Warnings, m.Warnings...)
	if err := j.moveRoles(ctx, to, majorOf(m.ClientVersion)); err != nil {
		return nil, fmt.Errorf("move the roles of %s: %w", j.Name(), err)
	}
	there := *j
	there.Database = to
	restored, err := there.Restore(ctx, m.ID, RestoreOptions{NoSafetyBackup: true})
	if err != nil {
		return nil, err
	}
	if err := there.settleIn(ctx, restored.Kept); err != nil {
		return nil, fmt.Errorf("move %s: %w", j.Name(), err)
	}
	moved.Seconds = j.Now().Sub(started).Seconds()
	j.Log.Info("moved", "backup", moved.ID, "from", moved.From, "to", moved.To, "tables", moved.Tables, "rows", moved.Rows,
		"seconds", moved.Seconds, "dumpSeconds", moved.DumpSeconds, "warnings", moved.Warnings)
	return moved, nil
}

// movable looks for what would not arrive, before anything is done.
func (j *Job) movable(ctx context.Context, to *Database, moved *Moved) error {
	c, err := j.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	var super bool
	if err := c.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return fmt.Errorf("ask who this is: %w", err)
	}
	if !super {
		return fault.Usage("a move wants a superuser, who sees all there is")
	}
	others, err := j.Database.Others(ctx)
	if err != nil {
		return err
	}
	var extensions, settings, slots []string
	var prepared, fromMajor int
	err = c.QueryRow(ctx, `
		SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,
			ARRAY(SELECT extname::text FROM pg_extension ORDER BY 1),
			ARRAY(SELECT DISTINCT name FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf' ORDER BY 1),
			ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE slot_type = 'logical' ORDER BY 1),
			(SELECT count(*) FROM pg_prepared_xacts)`).Scan(&moved.From, &fromMajor, &extensions, &settings, &slots, &prepared)
	switch {
	case err != nil:
		return fmt.Errorf("ask the server what it has: %w", err)
	case len(others) > 0:
		return fault.WithHint(fmt.Errorf("the server also has the database %s, which would stay behind", strings.Join(others, ", ")),
			"drop it, or move it by hand: pg_dump and psql")
	case prepared > 0:
		return fault.WithHint(fmt.Errorf("%d prepared transactions wait to be committed, and would be lost", prepared), "see pg_prepared_xacts: COMMIT PREPARED or ROLLBACK PREPARED")
	}
	if len(settings) > 0 {
		moved.Warnings = append(moved.Warnings, "ALTER SYSTEM has set "+strings.Join(settings, ", ")+", which stays behind")
	}
	if len(slots) > 0 {
		moved.Warnings = append(moved.Warnings, "logical replication slots stay behind: "+strings.Join(slots, ", "))
	}
	t, err := to.Connect(ctx)
	if err != nil {
		return fmt.Errorf("the new server: %w", err)
	}
	defer t.Close(context.WithoutCancel(ctx))
	var toMajor int
	if err := t.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000").Scan(&moved.To, &toMajor); err != nil {
		return fmt.Errorf("ask the new server for its version: %w", err)
	}
	if toMajor < fromMajor {
		return fault.Usage("the new server is PostgreSQL %d, older than %d", toMajor, fromMajor)
	}
	missing, err := missingExtensions(ctx, to, extensions)
	if err == nil && len(missing) > 0 {
		err = fault.WithHint(fmt.Errorf("PostgreSQL %d there does not have the extension %s", toMajor, strings.Join(missing, ", ")),
			"take an image that has it")
	}
	return err
}

// Others are the databases that the server has besides this one: without those that
// restores have kept, or were killed in.
func (d *Database) Others(ctx context.Context) (names []string, err error) {
	c, err := d.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	err = c.QueryRow(ctx, `
		SELECT ARRAY(SELECT datname::text FROM pg_database WHERE datname NOT IN (current_database(), 'postgres') AND NOT datistemplate
			AND NOT starts_with(datname, left(current_database(), 35) || '_before_')
			AND NOT starts_with(datname, left(current_database(), 34) || '_restore_') ORDER BY 1)`).Scan(&names)
	if err != nil {
		return nil, fmt.Errorf("ask the server for its databases: %w", err)
	}
	return names, nil
}

// Admit lets those into another server of the same version who enter this one: its roles
// get the passwords and settings that they have here, where the server answers, and the
// job's own gets its password in any case. It returns why the others did not.
func (j *Job) Admit(ctx context.Context, to *Database) (warning string, err error) {
	here, err := j.Database.Connect(ctx)
	if err != nil {
		warning = "the roles have the passwords of then, as the present server does not answer: " + err.Error()
	} else {
		var major int
		err = here.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&major)
		if err == nil {
			err = j.moveRoles(ctx, to, major)
		}
		if err = errors.Join(err, here.Close(context.WithoutCancel(ctx))); err != nil {
			return "", fmt.Errorf("bring the roles' passwords: %w", err)
		}
	}
	if j.Database.config.Password == "" {
		return warning, nil // It enters without.
	}
	verifier, err := Verifier(j.Database.config.Password)
	if err != nil {
		return "", err
	}
	there, err := to.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer there.Close(context.WithoutCancel(ctx))
	// The verifier is base64 and punctuation, without a quote.
	if _, err := there.Exec(ctx, "ALTER ROLE "+pgx.Identifier{j.Database.config.User}.Sanitize()+" PASSWORD '"+verifier+"'"); err != nil {
		return "", fmt.Errorf("set the password of the database's owner: %w", err)
	}
	return warning, nil
}

// moveRoles makes the roles on the other server, with their passwords and settings, by the
// programs of a major version. One that is there already, such as the superuser, gets
// those as well.
func (j *Job) moveRoles(ctx context.Context, to *Database, major int) error {
	p, err := FindPrograms(ctx, j.Bin, major)
	if err != nil {
		return err
	}
	globals, err := p.globals(ctx, j.Database)
	if err != nil {
		return err
	}
	maintenance, session, err := to.maintenance(ctx)
	if err != nil {
		return err
	}
	defer session.Close(context.WithoutCancel(ctx))
	// "already exists" is no failure; what is missing then is looked for.
	if err := p.load(ctx, maintenance, bytes.NewReader(globals), false); err != nil {
		return err
	}
	const passwords = "SELECT rolname, coalesce(rolpassword, '') FROM pg_authid WHERE NOT starts_with(rolname, 'pg_')"
	here, err := j.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer here.Close(context.WithoutCancel(ctx))
	wanted, err := pairs(ctx, here, passwords)
	if err != nil {
		return err
	}
	made, err := pairs(ctx, session, passwords)
	if err != nil {
		return err
	}
	for role, password := range wanted {
		if got, there := made[role]; !there || got != password {
			return fmt.Errorf("role %q is not there as it was", role)
		}
	}
	return nil
}

func pairs(ctx context.Context, c *pgx.Conn, query string) (map[string]string, error) {
	rows, err := c.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error { all[key] = value; return nil })
	return all, err
}

// settleIn drops what the new server had under the database's name, and gathers the
// statistics without which its first queries would be slow.
func (j *Job) settleIn(ctx context.Context, kept string) error {
	_, session, err := j.Database.maintenance(ctx)
	if err != nil {
		return err
	}
	defer session.Close(context.WithoutCancel(ctx))
	if _, err := session.Exec(ctx, "DROP DATABASE "+pgx.Identifier{kept}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop what was there: %w", err)
	}
	c, err := j.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(ctx, "ANALYZE"); err != nil {
		return errors.Join(fmt.Errorf("gather statistics: %w", err), ctx.Err())
	}
	// synchronous_commit is off in these sessions: now it has to be there.
	if _, err := c.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("write all to the disk: %w", err)
	}
	return nil
}
