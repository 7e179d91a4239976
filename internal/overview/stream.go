package overview

import (
	"context"
	"fmt"
	"time"

	"berth/internal/wal"
)

const (
	// quiet is how long a stream may say nothing, and how far it may be behind.
	quiet = 45 * time.Second
	// beginning is how long it may take to begin.
	beginning = 2 * time.Minute
)

// Stream says how far the stream of an environment is.
type Stream struct {
	OK bool `json:"ok"`
	// Reached is up to when everything is in the bucket.
	Reached    *time.Time `json:"reached,omitempty"`
	LagSeconds float64    `json:"lagSeconds"`
	Problem    string     `json:"problem,omitempty"`
}

// lookAtStream asks the bucket what the stream has said last.
func lookAtStream(ctx context.Context, job Backups, found Archive) (*Stream, error) {
	since, err := job.Streaming(ctx)
	if err != nil {
		return nil, err
	}
	if since.IsZero() {
		return &Stream{Problem: "the log is not streamed on this cluster: berth deploy"}, nil
	}
	said, err := found.Stream(ctx)
	if err != nil {
		return nil, err
	}
	return judgeStream(said, since, time.Now()), nil
}

func judgeStream(said *wal.State, since, now time.Time) *Stream {
	r := &Stream{OK: true}
	if said == nil || said.Reached.IsZero() {
		if now.Sub(since) > beginning {
			r.OK, r.Problem = false, "the stream of the log has not begun"
			if said != nil && said.Problem != "" {
				r.Problem += ": " + said.Problem
			}
		}
		return r
	}
	// It says something every ten seconds: in between, it is where it was.
	r.Reached, r.LagSeconds = &said.Reached, max(said.Time.Sub(said.Reached).Seconds(), 0)
	switch {
	case now.Sub(since) < beginning && said.Time.Before(since):
		// What was said last was said by the one before.
	case now.Sub(said.Time) > quiet:
		r.OK, r.LagSeconds = false, now.Sub(said.Reached).Seconds()
		r.Problem = fmt.Sprintf("the log has not reached the bucket for %s", now.Sub(said.Reached).Round(time.Second))
	case now.Sub(said.Reached) > quiet:
		r.OK, r.LagSeconds = false, now.Sub(said.Reached).Seconds()
		r.Problem = fmt.Sprintf("the log in the bucket is %s behind", now.Sub(said.Reached).Round(time.Second))
		if said.Problem != "" {
			r.Problem += ": " + said.Problem
		}
	}
	return r
}

func (r *Stream) String() string {
	switch {
	case r == nil:
		return ""
	case r.Reached == nil:
		return "none yet"
	}
	return fmt.Sprintf("%.0f s behind", r.LagSeconds)
}
