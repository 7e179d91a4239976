package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth/internal/backup"
)

// Moment makes a backup of the database as it was at a moment: with everything
// committed by then and nothing later. The zero time means the last moment that can
// be restored. It is then a backup like any other.
func (a *Archive) Moment(ctx context.Context, at time.Time) (*backup.Manifest, error) {
	c, b, err := a.find(ctx, at)
	if err != nil {
		return nil, err
	}
	r, err := a.Replay(ctx, c, b, at)
	if err != nil {
		return nil, fmt.Errorf("go back to %s: %w", target(at), err)
	}
	job := *a.Job
	job.Database, job.Moment = r.Database.Named(a.Job.Name()), r.Reached.UTC()
	m, err := job.Run(ctx)
	return m, errors.Join(err, r.Stop())
}
