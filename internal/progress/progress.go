// Package progress lets the logic report what it is doing, whether a person, a log
// file or nobody is watching. Package console draws it; tests use [Discard].
package progress

// A Reporter receives progress. It is safe for concurrent use, as steps may run in
// parallel.
type Reporter interface {
	// Step announces a piece of work, named as an activity: "Build images".
	// The caller must end it.
	Step(title string) Step
	// Note keeps one line that stays true after the steps have scrolled by.
	Note(text string)
}

// A Step is one announced piece of work.
type Step interface {
	// Detail says what is being done right now, or how far it is. The latest
	// one replaces the one before.
	Detail(text string)
	// End closes the step: done when err is nil, failed otherwise.
	End(err error)
}

// Run does work as one step of r.
func Run(r Reporter, title string, work func(Step) error) error {
	step := r.Step(title)
	err := work(step)
	step.End(err)
	return err
}

// Discard is a Reporter that shows nothing.
var Discard Reporter = discard{}

type discard struct{}

func (discard) Step(string) Step { return discard{} }
func (discard) Note(string)      {}
func (discard) Detail(string)    {}
func (discard) End(error)        {}
