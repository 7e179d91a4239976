package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Run makes a backup. What fails on the way leaves nothing that counts, and
// earlier backups as they are.
func (j *Job) Run(ctx context.Context) (*Manifest, error) {
	started := j.Now()
	m := &Manifest{ID: newID(started), Tool: "backup " + Version, Started: started.UTC(), Recipients: j.RecipientNames}
	// First of all, as nothing else is worth beginning without it.
	if _, err := j.Bucket.list(ctx); err != nil {
		return nil, err
	}
	s, err := j.Database.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	p, err := findPrograms(ctx, j.Bin, s.major)
	if err != nil {
		return nil, err
	}
	m.Database, m.ServerVersion, m.ClientVersion = s.info, s.version, p.version
	j.Log.Info("dumping", "backup", m.ID, "database", s.info.Name, "databaseBytes", s.info.Bytes, "serverVersion", s.version)

	if m.Dump, m.Contents, err = j.uploadDump(ctx, p, s, m.ID+j.extension()); err != nil {
		return nil, fmt.Errorf("back up %s: %w", s.info.Name, err)
	}
	if err := j.finish(ctx, p, m); err != nil {
		// Without its manifest the dump would be swept later. Now is better.
		return nil, errors.Join(fmt.Errorf("back up %s: %w", s.info.Name, err), j.discard(ctx, m.ID+".manifest.json", m.Dump.Name))
	}
	j.Log.Info("backup made", "backup", m.ID, "tables", len(m.Tables), "rows", m.Rows(),
		"plainBytes", m.Dump.PlainBytes, "bytes", m.Dump.Bytes, "seconds", m.Seconds)
	return m, nil
}

// uploadDump streams a dump of the snapshot into the bucket.
func (j *Job) uploadDump(ctx context.Context, p programs, s *snapshot, name string) (_ Object, _ Contents, err error) {
	u, err := j.Bucket.upload(ctx, name)
	if err != nil {
		return Object{}, Contents{}, err
	}
	defer func() {
		if err == nil {
			return
		}
		if abortErr := u.abort(); abortErr != nil {
			j.Log.Warn("an unfinished upload is left in the bucket; prune aborts it after a day", "object", name, "error", abortErr.Error())
		}
	}()
	w, err := j.seal(u)
	if err != nil {
		return Object{}, Contents{}, err
	}
	// The context of the upload ends with its first failure, and pg_dump with it.
	contents, plain, err := p.dump(u.ctx, j.Database, w, "--snapshot="+s.name)
	if cause := context.Cause(u.ctx); cause != nil {
		err = cause
	}
	if err != nil {
		_ = w.Close() // Only its goroutines matter now.
		return Object{}, Contents{}, err
	}
	for _, table := range slices.Sorted(maps.Keys(s.tables)) {
		if _, there := contents.Tables[table]; !there {
			_ = w.Close()
			return Object{}, Contents{}, fmt.Errorf("pg_dump left out table %s", table)
		}
	}
	if err := w.Close(); err != nil {
		return Object{}, Contents{}, err
	}
	j.Log.Info("dumped, completing the upload", "plainBytes", plain, "bytes", u.bytes)
	o, err := u.complete()
	o.PlainBytes = plain
	return o, contents, err
}

// finish adds the globals and then the manifest, with which the backup counts.
func (j *Job) finish(ctx context.Context, p programs, m *Manifest) error {
	globals, err := p.globals(ctx, j.Database)
	if err != nil {
		return err
	}
	data, err := j.sealBytes(globals)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	m.Globals = Object{Name: m.ID + ".globals" + j.extension(), Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), PlainBytes: int64(len(globals))}
	if err := j.Bucket.put(ctx, m.Globals.Name, data); err != nil {
		return err
	}
	m.Seconds = j.Now().Sub(m.Started).Seconds()
	return j.Bucket.putJSON(ctx, m.ID+".manifest.json", m)
}

// discard removes objects that do not count, even when the run was stopped.
func (j *Job) discard(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, name := range names {
		if err := j.Bucket.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
