package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Run makes a backup. If it fails, it leaves nothing that counts as a backup, and
// does not change earlier ones.
func (j *Job) Run(ctx context.Context) (*Manifest, error) {
	started := j.Now()
	m := &Manifest{ID: NewID(started), Tool: "backup " + Version, Started: started.UTC(), Moment: j.Moment, Recipients: j.RecipientNames}
	// First of all, as nothing else is worth beginning without it.
	if _, err := j.list(ctx); err != nil {
		return nil, err
	}
	store := j.storeServer
	if j.File != "" {
		store = j.storeFile
	}
	err := store(ctx, m)
	if err == nil {
		m.Seconds = j.Now().Sub(m.Started).Seconds()
		err = j.PutJSON(ctx, m.ID+".manifest.json", m)
	}
	if err != nil {
		err = fmt.Errorf("back up %s: %w", j.Name(), err)
		if m.Dump.Name != "" {
			// Without its manifest the dump would be swept later. Now is better.
			err = errors.Join(err, j.discard(ctx, m.ID+".manifest.json", m.Globals.Name, m.Dump.Name))
		}
		return nil, err
	}
	j.Log.Info("backup made", "backup", m.ID, "tables", len(m.Tables), "rows", m.Rows(),
		"plainBytes", m.Dump.PlainBytes, "bytes", m.Dump.Bytes, "seconds", m.Seconds)
	return m, nil
}

// storeServer puts a dump of the database into the bucket, and the globals of its
// server, and notes them in the manifest. Where tables came and went between the
// snapshot and pg_dump, it is tried again once.
func (j *Job) storeServer(ctx context.Context, m *Manifest) error {
	err := j.storeSnapshot(ctx, m)
	if err != nil && strings.Contains(err.Error(), noEquivalent) && !m.OwnEncoding {
		j.Log.Warn("the database has bytes that are no characters of its encoding, dumping as they are", "backup", m.ID, "encoding", m.Database.Encoding, "error", err.Error())
		m.OwnEncoding = true
		err = j.storeSnapshot(ctx, m)
	}
	if errors.Is(err, errTablesChanged) {
		j.Log.Info("tables were made or dropped meanwhile, dumping again", "backup", m.ID, "error", err.Error())
		err = j.storeSnapshot(ctx, m)
	}
	return err
}

// errTablesChanged is in the chain when a dump failed, and tables were made or
// dropped while it was made.
var errTablesChanged = errors.New("tables were made or dropped meanwhile")

func (j *Job) storeSnapshot(ctx context.Context, m *Manifest) error {
	s, err := j.Database.begin(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := FindPrograms(ctx, j.Bin, s.major)
	if err != nil {
		return err
	}
	if m.Warnings, err = hidden(ctx, s.connection); err != nil {
		return err
	}
	if m.OwnEncoding {
		if err := s.asTheyAre(ctx); err != nil {
			return err
		}
	}
	m.Database, m.ServerVersion, m.ClientVersion, m.Format = s.info, s.version, p.version, j.Format
	if m.Format == "" {
		m.Format = Plain
	}
	j.Log.Info("dumping", "backup", m.ID, "database", s.info.Name, "databaseBytes", s.info.Bytes, "serverVersion", s.version)
	m.Dump, err = j.upload(ctx, m, func(ctx context.Context, w io.Writer) (plain int64, err error) {
		d, err := p.dump(ctx, j.Database, m.Format, m.encoding(), w, "--snapshot="+s.name)
		if err != nil {
			return 0, err
		}
		if table := s.missing(d.Contents); table != "" {
			return 0, fmt.Errorf("pg_dump left out table %s", table)
		}
		m.Contents = d.Contents
		m.Warnings = append(m.Warnings, d.warnings...)
		return d.size, nil
	})
	if err != nil {
		if ctx.Err() == nil && s.changed(ctx, j.Database) {
			return fmt.Errorf("%w: %w", errTablesChanged, err)
		}
		return err
	}
	for _, warning := range m.Warnings {
		j.Log.Warn(warning, "backup", m.ID)
	}
	return j.storeGlobals(ctx, p, m)
}

// storeGlobals adds what all databases of the server share.
func (j *Job) storeGlobals(ctx context.Context, p Programs, m *Manifest) error {
	// Passwords stay where they are: only a superuser could read them, and a backup
	// is no place for them.
	globals, err := p.globals(ctx, j.Database, "--no-role-passwords")
	if err != nil {
		return err
	}
	data, err := j.SealBytes(globals)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	m.Globals = Object{Name: m.ID + j.SealedName(".globals.sql"), Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), PlainBytes: int64(len(globals))}
	return j.Bucket.Put(ctx, m.Globals.Name, data)
}

// discard removes objects that do not count, even when the run was stopped.
func (j *Job) discard(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, name := range names {
		if name == "" {
			continue // It was not reached.
		}
		if err := j.Bucket.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
