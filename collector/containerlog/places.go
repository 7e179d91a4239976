package containerlog

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// places is the storage of how far each file was read, which the reader of files
// saves after each look at all of them, and when it is stopped.
//
// A stop in the midst of a compressed file leaves the file's end as its place
// (pkg/stanza 0.160, fileconsumer/internal/reader: ReadToEnd sets the offset whether
// it got there or not). So from the beginning of a stop on nothing is saved: what
// was read since the last look is read again, as after kill -9.
type places struct {
	storage.Client
	stopped atomic.Bool
}

func (p *places) Set(ctx context.Context, key string, value []byte) error {
	return p.Batch(ctx, storage.SetOperation(key, value))
}

func (p *places) Delete(ctx context.Context, key string) error {
	return p.Batch(ctx, storage.DeleteOperation(key))
}

func (p *places) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if p.stopped.Load() {
		return nil
	}
	return p.Client.Batch(ctx, ops...)
}
