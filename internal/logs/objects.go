package logs

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"

	"berth/internal/bucket"
)

// object is one of the archive's.
type object struct {
	key  string
	size int64
}

// hour is the layout of the folders that objects lie in, by UTC.
const hour = "2006/01/02/15"

// objects lists those that may hold lines of the query's time, in the order of
// their names. An object is named by the time of its upload, which is never before
// that of a line in it.
func (a *Archive) objects(ctx context.Context, q Query) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		folder := path.Join(Prefix, a.environment) + "/"
		from := q.From.UTC().Add(-skew)
		until := time.Now().UTC().Add(skew)
		if last := q.Until.UTC().Add(late); !q.Until.IsZero() && last.Before(until) {
			until = last
		}
		for o, err := range a.bucket.List(ctx, bucket.ListOptions{Recursive: true, Below: folder, After: folder + from.Format(hour)}) {
			if err != nil {
				yield(object{}, fmt.Errorf("list the archive: %w", err))
				return
			}
			name := strings.TrimPrefix(o.Name, folder)
			if name[:min(len(name), len(hour))] > until.Format(hour) {
				return
			}
			if !strings.HasSuffix(name, ".json.gz") {
				continue
			}
			if uploaded, known := uploadOf(name); known && uploaded.Before(from) {
				continue
			}
			if !yield(object{o.Name, o.Size}, nil) {
				return
			}
		}
	}
}

// uploadOf is the time of an object's upload as its UUID of version 7 has it: the
// milliseconds since 1970 in the first 48 bits (RFC 9562, section 5.7).
func uploadOf(name string) (time.Time, bool) {
	_, id, found := strings.Cut(path.Base(name), "_logs_")
	if !found || len(id) < 15 || id[14] != '7' {
		return time.Time{}, false
	}
	bits, err := hex.DecodeString(id[:8] + id[9:13])
	if err != nil {
		return time.Time{}, false
	}
	milliseconds := int64(0)
	for _, b := range bits {
		milliseconds = milliseconds<<8 | int64(b)
	}
	return time.UnixMilli(milliseconds), true
}
