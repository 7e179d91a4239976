package main

import (
	"context"
	"encoding/json"
	"errors"

	"berth/internal/anonymize"
	"berth/internal/backup"
	"berth/internal/fault"
)

// masking returns what replaces columns of a restored database while only this program
// knows it, and searches it for what they held.
func masking(job *backup.Job, text string) (func(context.Context, *backup.Database) error, error) {
	var masks anonymize.Masks
	if err := json.Unmarshal([]byte(text), &masks); err != nil {
		return nil, fault.Usage("--masks must be an object of JSON, of columns and what stands there: %w", err)
	}
	return func(ctx context.Context, restored *backup.Database) (err error) {
		if restored == nil {
			return fault.Usage("only columns of PostgreSQL can be masked")
		}
		job.Log.Info("masking", "columns", len(masks))
		c, err := restored.Connect(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
		done, err := anonymize.Apply(ctx, c, masks)
		if err != nil {
			return err
		}
		job.Log.Info("masked", "rows", done.Rows, "values", done.Values, "searched", done.Searched)
		return nil
	}, nil
}
