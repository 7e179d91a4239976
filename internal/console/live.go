package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"

	"berth/internal/progress"
)

// live draws the steps that are under way at the bottom of a terminal, one line
// each, and redraws them as time passes. Steps that ended scroll away upwards.
type live struct {
	mu    sync.Mutex
	out   io.Writer
	style style
	now   func() time.Time
	width func() int

	steps []*liveStep
	drawn int // lines below the text that stays
	frame int
	stop  chan struct{}
	done  sync.WaitGroup
}

type liveStep struct {
	*live
	title, detail string
	begun         time.Time
}

var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

const (
	frameTime = 100 * time.Millisecond
	// mostSteps keeps the drawing smaller than any window, as lines that have
	// scrolled out of it cannot be redrawn.
	mostSteps = 8
	// narrow is the width below which a step's detail is left out.
	narrow = 40
)

func newLive(out io.Writer, s style, now func() time.Time, width func() int) *live {
	return &live{out: out, style: s, now: now, width: width}
}

func (l *live) Step(title string) progress.Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &liveStep{live: l, title: Clean(title), begun: l.now()}
	l.steps = append(l.steps, s)
	l.draw("")
	if l.stop == nil {
		l.stop = make(chan struct{})
		l.done.Add(1)
		go l.animate(l.stop)
	}
	return s
}

func (l *live) Note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draw("   " + strings.ReplaceAll(CleanLines(text), "\n", "\n   ") + "\n")
}

func (s *liveStep) Detail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The next frame shows it: a chatty step must not flood the terminal.
	s.detail = Clean(text)
}

func (s *liveStep) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.steps, s)
	if at < 0 {
		return
	}
	s.steps = slices.Delete(s.steps, at, at+1)
	s.draw(ended(s.style, s.title, s.now().Sub(s.begun), err) + "\n")
}

func (l *live) animate(stop <-chan struct{}) {
	defer l.done.Done()
	ticker := time.NewTicker(frameTime)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			l.tick()
		}
	}
}

// tick draws the next frame.
func (l *live) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.steps) > 0 {
		l.frame++
		l.draw("")
	}
}

// draw replaces the drawing by text that stays and the steps under way, in one
// write so that the terminal does not flicker.
func (l *live) draw(stays string) {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", l.drawn)
	}
	b.WriteString(stays)
	shown := l.steps[:min(len(l.steps), mostSteps)]
	for _, s := range shown {
		b.WriteString(s.line() + "\n")
	}
	l.drawn = len(shown)
	if more := len(l.steps) - len(shown); more > 0 {
		fmt.Fprintf(&b, "   … and %d more\n", more)
		l.drawn++
	}
	io.WriteString(l.out, b.String())
}

// line is a step under way, cut to the window.
func (s *liveStep) line() string {
	// The last column stays free: some terminals wrap when it is written.
	columns := s.width() - 1
	line := " " + s.style.strong(frames[s.frame%len(frames)]) + " " + s.title
	line += s.style.faint(took(s.now().Sub(s.begun)))
	if s.detail != "" && columns >= narrow {
		line += s.style.faint("  " + s.detail)
	}
	return lipgloss.NewStyle().Inline(true).MaxWidth(columns).Render(line)
}

func (l *live) close() {
	l.mu.Lock()
	l.steps = nil
	l.draw("")
	stop := l.stop
	l.stop = nil
	l.mu.Unlock()
	if stop != nil {
		close(stop)
	}
	l.done.Wait()
}
