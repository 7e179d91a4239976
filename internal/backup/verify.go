package backup

import (
	"context"
	"errors"
	"fmt"
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
