package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/logs"
	"berth/internal/mask"
	"berth/internal/progress"
)

const (
	// pause is the time between two batches of lines, and beat the time after which
	// a browser is told that nothing has happened.
	pause = 100 * time.Millisecond
	beat  = 15 * time.Second
	// batch is how many lines a browser is sent at once. What is more is left out,
	// and counted: nobody reads it, and a page of a million lines helps no one.
	batch = 2000
)

// line is a line of a log as the page is sent it: all of it is text.
type line struct {
	// At is for people, and ISO for programs.
	At    string `json:"at"`
	ISO   string `json:"iso"`
	Pod   string `json:"pod"`
	Level string `json:"level"`
	// Kind is one of four that the page paints differently.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func lineOf(l logs.Line, hide func(string) string, now time.Time) line {
	level, text := l.Parts()
	at, layout := l.Time.Local(), "15:04:05.000"
	if at.Format(time.DateOnly) != now.Local().Format(time.DateOnly) {
		layout = "2006-01-02 " + layout
	}
	kind := "info"
	switch severity := l.Severity(); {
	case severity >= slog.LevelError:
		kind = "error"
	case severity >= slog.LevelWarn:
		kind = "warn"
	case severity < slog.LevelInfo:
		kind = "debug"
	}
	return line{at.Format(layout), l.Time.UTC().Format(time.RFC3339Nano), console.Clean(l.Pod), console.Clean(level), kind, console.CleanLines(hide(text))}
}

// feed is what has come and was not sent yet. It takes what a [Source] says of its
// progress, too, as a [progress.Reporter]: the last word of each kind.
type feed struct {
	mu     sync.Mutex
	lines  []line
	last   time.Time
	left   int
	status string
	note   string
	// done is set at the end, and err then says why.
	done bool
	err  error
}

func (f *feed) add(l line, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) == batch {
		f.lines = f.lines[1:]
		f.left++
	}
	f.lines, f.last = append(f.lines, l), at
}

func (f *feed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done, f.err = true, err
}

func (f *feed) say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = text
}

func (f *feed) Note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note = text
}

func (f *feed) Step(title string) progress.Step {
	f.say(title)
	return feedStep{f, title}
}

type feedStep struct {
	*feed
	title string
}

func (s feedStep) Detail(text string) { s.say(s.title + ": " + text) }
func (s feedStep) End(error)          { s.say("") }

// events are those that tell of what has come since the last time.
func (f *feed) events(said *string) (text []byte, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b bytes.Buffer
	if f.status != *said {
		*said = f.status
		event(&b, "status", "", f.status)
	}
	if f.note != "" {
		event(&b, "note", "", console.CleanLines(f.note))
		f.note = ""
	}
	if len(f.lines) > 0 {
		event(&b, "lines", f.last.UTC().Format(time.RFC3339Nano), map[string]any{"lines": f.lines, "left": f.left})
		f.lines, f.left = nil, 0
	}
	if f.done {
		end := map[string]string{}
		if f.err != nil {
			end["error"], end["hint"] = console.CleanLines(f.err.Error()), console.CleanLines(fault.Hint(f.err))
		}
		event(&b, "end", "", end)
	}
	return b.Bytes(), f.done
}

// event writes one server-sent event (https://html.spec.whatwg.org/#server-sent-events).
// JSON has no line ends.
func event(b *bytes.Buffer, name, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // Texts and numbers can be written.
	}
	if id != "" {
		fmt.Fprintf(b, "id: %s\n", id)
	}
	fmt.Fprintf(b, "event: %s\ndata: %s\n\n", name, text)
}

// stream sends log lines as they come, until the browser has gone. One that comes
// back after its connection broke gets what it has not.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	f := &feed{}
	q, err := fieldsOf(r.URL.Query()).query(s.now())
	if at, bad := time.Parse(time.RFC3339Nano, r.Header.Get("Last-Event-ID")); bad == nil {
		q.From, q.Archive = at.Add(1), false
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if err != nil {
		f.end(err)
	} else {
		go func() {
			hide := mask.Values(s.source.Secrets(ctx, environment))
			f.end(s.source.Logs(ctx, environment, q, f, func(l logs.Line) error {
				f.add(lineOf(l, hide, s.now()), l.Time)
				return ctx.Err()
			}))
		}()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	send := func(text []byte) error {
		if _, err := w.Write(text); err != nil {
			return err
		}
		return flush.Flush()
	}
	if send([]byte(": here\n\n")) != nil {
		return
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	said, sent := "", time.Now()
	for {
		text, done := f.events(&said)
		if len(text) == 0 && time.Since(sent) > beat {
			text = []byte(": still here\n\n")
		}
		if len(text) > 0 {
			if send(text) != nil {
				return
			}
			sent = time.Now()
		}
		if done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
