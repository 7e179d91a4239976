package wal

import (
	"context"
	"iter"

	"berth/internal/bucket"
)

// list lists all objects of all chains.
func (a *Archive) list(ctx context.Context) iter.Seq2[object, error] { return a.below(ctx, root) }

func (a *Archive) below(ctx context.Context, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for o, err := range a.Job.Bucket.List(ctx, bucket.ListOptions{Below: prefix, Recursive: true}) {
			if !yield(object{o.Name, o.Modified}, err) {
				return
			}
		}
	}
}
