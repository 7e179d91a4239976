package release

import (
	"context"
	"slices"
	"time"

	"berth/internal/logs"
)

// settle is how long a line waits for earlier ones of other pods.
const settle = 250 * time.Millisecond

// arrival is a line of a source, or its end.
type arrival struct {
	source source
	line   logs.Line
	at     time.Time
	ended  bool
	err    error
}

// follow goes on with the logs of all pods, those that come later too. A source
// that ends, as by a restart or a lost connection, is opened again where it
// broke off for as long as its pod is there.
func (t *tail) follow(ctx context.Context) error {
	arrivals := make(chan arrival)
	open := map[string]bool{} // by instance
	begin := func() {
		sources, err := t.sources(ctx)
		if err != nil {
			// The API server may be away for a moment; what is open goes on.
			return
		}
		for _, s := range sources {
			// The instance before a restart may have come and gone since the last look.
			if open[s.instance] || !s.running && t.done[s.instance] || s.previous && s.instance == "" {
				continue
			}
			open[s.instance] = true
			go t.stream(ctx, s, t.latest(s), arrivals)
		}
	}
	begin()
	again := time.NewTicker(t.client.timeouts.poll)
	defer again.Stop()
	flush := time.NewTicker(settle / 2)
	defer flush.Stop()
	var waiting []arrival
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
			begin()
		case a := <-arrivals:
			if a.ended {
				delete(open, a.source.instance)
				t.done[a.source.instance] = a.err == nil
				continue
			}
			if a.line.Time.After(t.read[a.source.key()]) {
				t.read[a.source.key()] = a.line.Time
			}
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

// stream sends a source's lines, and its end.
func (t *tail) stream(ctx context.Context, s source, after time.Time, arrivals chan<- arrival) {
	send := func(a arrival) error {
		select {
		case arrivals <- a:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	end := arrival{source: s, ended: true}
	stream, err := t.open(ctx, s, after, !s.previous)
	if err == nil {
		err = scan(stream, s, after, func(l logs.Line) error {
			return send(arrival{source: s, line: l, at: time.Now()})
		})
		stream.Close()
	}
	end.err = err
	// When nobody listens any more there is nobody to tell of the end either.
	_ = send(end)
}
