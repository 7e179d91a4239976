package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"berth/internal/bucket"
)

// upload stores the dump of a backup.
func (j *Job) upload(ctx context.Context, m *Manifest, fill func(context.Context, io.Writer) (plain int64, err error)) (Object, error) {
	return j.Store(ctx, m.ID+j.SealedName(m.Format.extension()), m.Database.Bytes, fill)
}

// Store seals what fill writes and streams it into the bucket, about so many bytes. It
// returns the object when that is there, or nothing is. The context that fill gets
// ends with the upload's first failure.
func (j *Job) Store(ctx context.Context, name string, expected int64, fill func(context.Context, io.Writer) (plain int64, err error)) (_ Object, err error) {
	u := j.Bucket.Upload(ctx, name, expected)
	defer func() {
		if err == nil {
			return
		}
		if abortErr := u.Abort(); abortErr != nil {
			j.Log.Warn("an unfinished upload is left in the bucket; prune aborts it after a day", "object", name, "error", abortErr.Error())
		}
	}()
	hash := sha256.New()
	w, err := j.seal(io.MultiWriter(hash, u))
	if err != nil {
		return Object{}, err
	}
	// The context of the upload ends with its first failure, and pg_dump with it.
	plain, err := fill(u.Context(), w)
	if cause := context.Cause(u.Context()); cause != nil {
		err = cause
	}
	if err != nil {
		_ = w.Close() // Only its goroutines matter now.
		return Object{}, err
	}
	if err := w.Close(); err != nil {
		return Object{}, err
	}
	j.Log.Info("dumped, completing the upload", "plainBytes", plain, "bytes", u.Bytes())
	if err := u.Complete(); err != nil {
		return Object{}, err
	}
	return Object{Name: name, Bytes: u.Bytes(), SHA256: hex.EncodeToString(hash.Sum(nil)), PlainBytes: plain}, nil
}

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

// manifestLimit is more than the manifest of a hundred thousand tables has.
const manifestLimit = 64 << 20

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
