package wal

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/fault"
)

// Base makes a base by pg_basebackup. The job's database is entered as a role that may
// replicate; the log from its beginning on is the stream's to bring.
func (a *Archive) Base(ctx context.Context) (*Base, error) {
	b, err := a.base(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a base: %w", err)
	}
	return b, nil
}

func (a *Archive) base(ctx context.Context) (*Base, error) {
	c, err := a.Job.Database.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	before, err := look(ctx, c, "")
	if err != nil {
		return nil, err
	}
	if !before.replicates {
		return nil, fault.WithHint(fmt.Errorf("role %q may not replicate", before.user),
			"ALTER ROLE … REPLICATION; a managed database does not allow it, and cannot be backed up continuously")
	}
	var size int64
	databases := map[string]int64{}
	rows, err := c.Query(ctx, "SELECT datname, CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END FROM pg_database")
	if err == nil {
		var name string
		var bytes int64
		_, err = pgx.ForEachRow(rows, []any{&name, &bytes}, func() error {
			size += bytes
			databases[name] = bytes
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the server's size: %w", err)
	}
	p, err := backup.FindPrograms(ctx, a.Job.Bin, before.major)
	if err != nil {
		return nil, err
	}
	b := &Base{
		ID: backup.NewID(a.Job.Now()), Chain: before.chain(), Tool: "backup " + backup.Version, Started: before.now.UTC(), Timeline: before.timeline,
		SegmentBytes: before.segment, ServerVersion: before.version, Superuser: before.super, Recipients: a.Job.RecipientNames,
		Databases: databases,
	}
	a.Job.Log.Info("making a base", "base", b.ID, "chain", b.Chain, "databaseBytes", size)
	b.Object, err = a.Job.Store(ctx, a.Job.SealedName(b.name(".tar")), size, func(ctx context.Context, w io.Writer) (int64, error) {
		return b.copy(ctx, p, a.Job.Database, w)
	})
	if err != nil {
		return nil, err
	}
	after, err := look(ctx, c, "")
	if err == nil && after.chain() != b.Chain {
		err = fmt.Errorf("the server is on another timeline since: %s", after.chain())
	}
	b.Finished = after.now.UTC()
	if err == nil {
		err = a.Job.PutJSON(ctx, b.name(".json"), b)
	}
	if err != nil {
		return nil, errors.Join(err, a.Job.Bucket.Delete(context.WithoutCancel(ctx), b.Object.Name))
	}
	a.Job.Log.Info("base made", "base", b.ID, "bytes", b.Object.Bytes, "plainBytes", b.Object.PlainBytes, "seconds", b.Finished.Sub(b.Started).Seconds())
	return b, nil
}

// copy runs pg_basebackup, whose tar goes to w, and notes from its manifest, which
// comes last, which log the copy needs.
func (b *Base) copy(stopped context.Context, p backup.Programs, d *backup.Database, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(stopped)
	defer cancel()
	// Its own log would have to be waited for: the stream brings it.
	command, said := p.Command(ctx, d, "pg_basebackup", "--pgdata=-", "--format=tar", "--wal-method=none", "--checkpoint=fast", "--no-password", "--label=berth "+b.ID)
	output, err := command.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("pg_basebackup: %w", err)
	}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("pg_basebackup: %w", err)
	}
	passed := &counter{}
	readErr := b.read(io.TeeReader(output, io.MultiWriter(w, passed)))
	if readErr != nil {
		cancel() // It would wait for a reader.
	}
	exit := said.Explain("pg_basebackup", command.Wait())
	switch {
	case stopped.Err() != nil:
		return 0, context.Cause(stopped)
	case exit != nil && strings.Contains(exit.Error(), "tablespace"):
		return 0, fault.WithHint(exit, "a server with tablespaces of its own cannot be backed up continuously: set continuous to false")
	case exit != nil && ctx.Err() == nil:
		return 0, exit
	case readErr != nil:
		return 0, readErr
	}
	return passed.bytes, exit
}

type counter struct{ bytes int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}

// read reads the tar to its end.
func (b *Base) read(from io.Reader) error {
	archive := tar.NewReader(from)
	whole := false
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read pg_basebackup's tar: %w", err)
		}
		if strings.TrimPrefix(header.Name, "./") != "backup_manifest" {
			continue
		}
		var manifest struct {
			Ranges []struct {
				Timeline uint32 `json:"Timeline"`
				Start    LSN    `json:"Start-LSN"`
				End      LSN    `json:"End-LSN"`
			} `json:"WAL-Ranges"`
		}
		if err := json.NewDecoder(archive).Decode(&manifest); err != nil {
			return fmt.Errorf("read pg_basebackup's manifest: %w", err)
		}
		if len(manifest.Ranges) != 1 || manifest.Ranges[0].Timeline != b.Timeline {
			return errors.New("the server has changed its timeline meanwhile")
		}
		b.Start, b.End = manifest.Ranges[0].Start, manifest.Ranges[0].End
		whole = true
	}
	if !whole {
		return errors.New("pg_basebackup's tar has no manifest: it was cut off")
	}
	_, err := io.Copy(io.Discard, from) // what pads it
	return err
}
