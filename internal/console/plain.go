package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"berth/internal/progress"
)

// detailPause is how long a step is quiet between two lines of detail where
// lines stay: enough to show that it moves, too little to bury the log.
const detailPause = 10 * time.Second

// plain writes progress as lines that stay, for logs and dumb terminals.
type plain struct {
	mu      sync.Mutex
	out     io.Writer
	style   style
	now     func() time.Time
	verbose bool
}

func newPlain(out io.Writer, s style, now func() time.Time, verbose bool) *plain {
	return &plain{out: out, style: s, now: now, verbose: verbose}
}

func (p *plain) line(format string, arguments ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", arguments...)
}

func (p *plain) Step(title string) progress.Step {
	title = Clean(title)
	p.line(" • %s", title)
	begun := p.now()
	return &plainStep{plain: p, title: title, begun: begun, said: begun}
}

func (p *plain) Note(text string) { p.line("%s", p.note(text)) }

func (p *plain) note(text string) string {
	return "   " + strings.ReplaceAll(CleanLines(text), "\n", "\n   ")
}

func (p *plain) close() {}

type plainStep struct {
	*plain
	title string
	begun time.Time

	detail sync.Mutex
	said   time.Time
}

func (s *plainStep) Detail(text string) {
	s.detail.Lock()
	defer s.detail.Unlock()
	now := s.now()
	if !s.verbose && now.Sub(s.said) < detailPause {
		return
	}
	s.said = now
	s.line("   %s: %s%s", s.title, Clean(text), took(now.Sub(s.begun)))
}

func (s *plainStep) End(err error) {
	s.line("%s", ended(s.style, s.title, s.now().Sub(s.begun), err))
}

// ended is the line that a step leaves behind.
func ended(s style, title string, elapsed time.Duration, err error) string {
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return " " + s.mark(Bad) + " " + title + ": " + strings.TrimSuffix(Clean(first), ":")
	}
	return " " + s.mark(Good) + " " + title + s.faint(took(elapsed))
}

// took says how long something took, where it is long enough to be of interest.
func took(elapsed time.Duration) string {
	if elapsed < time.Second {
		return ""
	}
	return " (" + elapsed.Round(time.Second).String() + ")"
}
