package rehearsal

import (
	"time"

	"berth/internal/progress"
)

// begin ends the phase that goes on and begins the next one.
func (p *play) begin(name string) {
	p.finish(nil)
	p.now, p.since, p.step = name, time.Now(), p.reporter.Step(name)
}

// finish ends the phase that goes on, if one does.
func (p *play) finish(err error) {
	if p.step == nil {
		return
	}
	p.Phases = append(p.Phases, Phase{p.now, p.elapsed()})
	p.step.End(err)
	p.step = nil
}

// elapsed is how many seconds the phase has lasted.
func (p *play) elapsed() float64 { return time.Since(p.since).Seconds() }

// Step is what the deploy to the copy reports: its details are those of the phase that
// goes on, and its steps no phases of their own.
func (p *play) Step(string) progress.Step { return within{p} }

// Note passes on what the deploy says that stays true.
func (p *play) Note(text string) { p.reporter.Note(text) }

type within struct{ *play }

func (w within) Detail(text string) {
	if w.step != nil {
		w.step.Detail(text)
	}
}

func (within) End(error) {}
