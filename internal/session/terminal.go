package session

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
)

// terminal is the terminal that a session is on.
type terminal struct {
	in, out *os.File
}

// terminalOf returns the terminal that both input and output are, or nil.
func terminalOf(s Streams) *terminal {
	in, isFile := s.In.(*os.File)
	out, also := s.Out.(*os.File)
	if !isFile || !also || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	return &terminal{in, out}
}

// raw hands every key to the program, Ctrl-C too, until restore is called.
func (t *terminal) raw() (restore func(), err error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("set up the terminal: %w", err)
	}
	return func() { _ = term.Restore(int(t.in.Fd()), before) }, nil
}

// sizes are the terminal's sizes, the present one first, until stop is called.
func (t *terminal) sizes() (queue sizeQueue, stop func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	changes <- unix.SIGWINCH
	done := make(chan struct{})
	return sizeQueue{t, changes, done}, func() { signal.Stop(changes); close(done) }
}

type sizeQueue struct {
	terminal *terminal
	changes  <-chan os.Signal
	done     <-chan struct{}
}

// Next implements [remotecommand.TerminalSizeQueue].
func (q sizeQueue) Next() *remotecommand.TerminalSize {
	for {
		select {
		case <-q.done:
			return nil
		case <-q.changes:
		}
		// A terminal that does not know its size leaves the program its own idea.
		if width, height, err := term.GetSize(int(q.terminal.out.Fd())); err == nil && width > 0 && height > 0 {
			return &remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)}
		}
	}
}
