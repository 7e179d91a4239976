package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"berth/internal/bucket"
)

// manifestLimit is more than the manifest of a hundred thousand tables has.
const manifestLimit = 64 << 20

// list returns all objects below the prefix, folders below it left out.
func (j *Job) list(ctx context.Context) (objects []bucket.Object, err error) {
	for o, err := range j.Bucket.List(ctx, bucket.ListOptions{}) {
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (j *Job) PutJSON(ctx context.Context, name string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return j.Bucket.Put(ctx, name, append(data, '\n'))
}

func (j *Job) GetJSON(ctx context.Context, name string, value any) error {
	data, err := j.Bucket.Get(ctx, name, manifestLimit)
	if errors.Is(err, bucket.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	return nil
}
