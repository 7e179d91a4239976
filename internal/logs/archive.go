package logs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/internal/bucket"
	"berth/internal/progress"
	"berth/internal/provider"
)

const (
	// Prefix is what the names of the archive's objects begin with in the bucket.
	Prefix = provider.LogPrefix
	// Usual is how far back the archive is read where nobody says.
	Usual = 24 * time.Hour
	// late is how long after it was written a line may reach the bucket and still
	// be found. Without a bound, a minute of last month would cost the reading of
	// the whole month.
	late = 24 * time.Hour
	// skew is how far a node's clock may have been set back.
	skew = time.Minute

	// downloads is how many objects are read at a time.
	downloads = 4
	// largest is how many bytes an object may have, and may be decompressed to. The
	// agent's have about 10 MB then.
	largest = 64 << 20
)

// ErrDamaged is what is wrong with an object that is not what the log agent wrote.
var ErrDamaged = errors.New("damaged")

// Archive is the lines of one environment in the bucket.
type Archive struct {
	bucket                   *bucket.Bucket
	environment, application string
	// spool is how many bytes of lines are sorted in memory.
	spool int
}

// Open returns the archive of an application's Deployment in an environment. It
// asks for nothing yet.
func Open(b provider.Bucket, application, environment string) (*Archive, error) {
	opened, err := b.Open("", bucket.Hints{
		Keys: "check the bucket's access key and secret key", Name: "check the bucket's name", Endpoint: "check that the bucket's endpoint can be reached",
	})
	if err != nil {
		return nil, err
	}
	return &Archive{bucket: opened, environment: environment, application: application, spool: spoolBytes}, nil
}

// Found is what a search has found. It must be closed.
type Found struct {
	// Lines are in the order of time, each once.
	Lines iter.Seq2[Line, error]

	spool *spool
}

// Close gives up the room that the lines take.
func (f *Found) Close() error {
	if f.spool == nil {
		return nil
	}
	return f.spool.close()
}

// Search finds the lines that a query takes and that the cluster does not hold any
// more. A query without From begins [Usual] before its end.
//
// As lines may come to the bucket late and out of order, no line is given out
// before all objects have been read: memory holds those that are being read and
// [spoolBytes] of what was found, and the rest is in a temporary file. Lines that
// came more than a day late are not looked for.
//
// Objects that cannot be understood are passed over. Then there is both: what was
// found, and an error that names them and wraps [ErrDamaged].
func (a *Archive) Search(ctx context.Context, q Query, held Held, r progress.Reporter) (*Found, error) {
	if q.From.IsZero() {
		end := q.Until
		if end.IsZero() {
			end = time.Now()
		}
		q.From = end.Add(-Usual)
	}
	var bad damages
	to := &spool{limit: a.spool}
	err := progress.Run(r, "Read the archive of "+a.environment, func(step progress.Step) error {
		return a.read(ctx, q, held, to, &bad, step)
	})
	if err != nil {
		return nil, errors.Join(err, to.close())
	}
	return &Found{to.all(), to}, bad.err()
}

// read reads all objects that may hold lines of the query's time.
func (a *Archive) read(ctx context.Context, q Query, held Held, to *spool, bad *damages, step progress.Step) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(downloads)
	var done, size atomic.Int64
	listed := uint64(0)
	listing := func() error {
		for o, err := range a.objects(ctx, q) {
			if err != nil {
				return err
			}
			number := listed << 32
			listed++
			group.Go(func() error {
				err := a.object(ctx, o, q, held, func(line Line) error {
					number++
					return to.add(line, number)
				})
				if errors.Is(err, ErrDamaged) {
					bad.add(err)
				} else if err != nil {
					return err
				}
				step.Detail(fmt.Sprintf("%d objects, %d MB", done.Add(1), size.Add(o.size)/1e6))
				return nil
			})
		}
		return nil
	}
	err := listing()
	// What a download failed for is why the listing ended.
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// object hands over the lines of an object that are to be found.
func (a *Archive) object(ctx context.Context, o object, q Query, held Held, each func(Line) error) error {
	data, err := a.download(ctx, o.key)
	if err != nil {
		return err
	}
	wanted := func(l Line, from origin) bool {
		return q.covers(l.Time) && q.takesLevel(l.Level) && from.of(a.application) && !held.Has(l)
	}
	for line, err := range unpack(data, q.needles(), wanted) {
		if err != nil {
			return fmt.Errorf("archived object %s: %w", o.key, err)
		}
		if !q.Takes(line) {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
	}
	return nil
}

// download gets an object whole, so that a connection that breaks is told apart
// from an object that ends too early.
func (a *Archive) download(ctx context.Context, key string) ([]byte, error) {
	// One byte more shows that it is too large, which unpack tells of.
	data, err := a.bucket.Get(ctx, key, largest)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, fmt.Errorf("archived object %s: %w: it has been removed", key, ErrDamaged)
	}
	return data, err
}

// damages collects what is wrong with objects.
type damages struct {
	mu   sync.Mutex
	some []error
	more int
}

// mostNamed is how many damaged objects are named one by one.
const mostNamed = 20

func (d *damages) add(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.some) < mostNamed {
		d.some = append(d.some, err)
	} else {
		d.more++
	}
}

func (d *damages) err() error {
	if d.more > 0 {
		return errors.Join(append(d.some, fmt.Errorf("and %d more objects: %w", d.more, ErrDamaged))...)
	}
	return errors.Join(d.some...)
}
