package release

import (
	"context"
	"fmt"
	"slices"
	"time"

	apps "k8s.io/api/apps/v1"
)

type apiReplicaSet = apps.ReplicaSet

// settle is how long a line waits for earlier ones of other pods.
const settle = 250 * time.Millisecond

// arrival is a line, or the end of a source.
type arrival struct {
	line   Line
	source source
	ended  bool
	at     time.Time
}

// follow goes on with the logs of all pods, those that come later too. A source
// that ends, as by a restart or a lost connection, is opened again as long as
// its pod is there.
func (t *tail) follow(ctx context.Context) error {
	arrivals := make(chan arrival)
	open := map[string]bool{}
	look := time.NewTicker(t.client.pace.poll)
	defer look.Stop()
	flush := time.NewTicker(settle / 2)
	defer flush.Stop()
	var waiting []arrival
	begin := func() error {
		sources, err := t.sources(ctx)
		if err != nil {
			// The API server may be away for a moment; what is open goes on.
			return ctx.Err()
		}
		for _, s := range sources {
			if !s.previous && !open[s.key()] {
				open[s.key()] = true
				go t.stream(ctx, s, t.latest(s), arrivals)
			}
		}
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if err := begin(); err != nil {
				return err
			}
		case a := <-arrivals:
			if a.ended {
				delete(open, a.source.key())
				continue
			}
			t.read[a.source.key()] = a.line.Time
			waiting = append(waiting, a)
		case now := <-flush.C:
			slices.SortStableFunc(waiting, func(a, b arrival) int { return a.line.Time.Compare(b.line.Time) })
			for len(waiting) > 0 && now.Sub(waiting[0].at) >= settle {
				if err := t.each(waiting[0].line); err != nil {
					return err
				}
				waiting = waiting[1:]
			}
		}
	}
}

// latest is the time after which a source's lines are new.
func (t *tail) latest(s source) time.Time {
	if last := t.read[s.key()]; last.After(t.from) {
		return last
	}
	return t.from
}

// stream sends a source's lines until it ends.
func (t *tail) stream(ctx context.Context, s source, after time.Time, arrivals chan<- arrival) {
	send := func(a arrival) error {
		select {
		case arrivals <- a:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := t.streamOnce(ctx, s, after, send)
	if err != nil && ctx.Err() == nil {
		// Nothing is lost: the next look opens it again where it broke off.
		err = fmt.Errorf("follow pod %s: %w", s.pod, err)
	}
	_ = send(arrival{source: s, ended: true})
}

func (t *tail) streamOnce(ctx context.Context, s source, after time.Time, send func(arrival) error) error {
	stream, err := t.open(ctx, s, true)
	if err != nil {
		return err
	}
	defer stream.Close()
	return scan(stream, s, after, func(l Line) error {
		return send(arrival{line: l, source: s, at: time.Now()})
	})
}
