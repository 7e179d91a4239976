// Package console is how the berth command talks to the person or the program
// that called it: results go to stdout, everything else to stderr.
//
// Progress is drawn in place on a terminal and written as plain lines anywhere
// else, by two implementations of [progress.Reporter]. What comes from a
// cluster, an image build or a log is somebody else's text: it passes [Clean]
// before it reaches a terminal, so that it cannot move the cursor or repaint
// what berth said.
//
// Only the command uses this package. Logic returns errors and reports to a
// [progress.Reporter].
package console

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"berth/internal/fault"
	"berth/internal/progress"
)

// Streams are what a command reads from and writes to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Console is one command's conversation with its caller.
type Console struct {
	Streams
	// Interactive says that a person can be asked: stdin and stderr are
	// terminals.
	Interactive bool
	// Terminal says that stdout is a terminal that understands more than lines.
	Terminal bool

	out, err style
	reporter interface {
		progress.Reporter
		close()
	}
}

// Options change how a Console shows things.
type Options struct {
	// Verbose writes every detail of every step as a line of its own.
	Verbose bool
}

// New looks at what the streams are connected to and at TERM, NO_COLOR
// (https://no-color.org) in environ, which has the form of [os.Environ].
func New(s Streams, environ []string, o Options) *Console {
	dumb := slices.Contains(environ, "TERM=dumb")
	color := !dumb && !hasValue(environ, "NO_COLOR")
	outTerminal, errTerminal := isTerminal(s.Out), isTerminal(s.Err)
	c := &Console{
		Streams:     s,
		Interactive: isTerminal(s.In) && errTerminal,
		Terminal:    outTerminal && !dumb,
		out:         style{outTerminal && color},
		err:         style{errTerminal && color},
	}
	if errTerminal && !dumb && !o.Verbose {
		c.reporter = newLive(s.Err, c.err, time.Now, func() int { return width(s.Err) })
	} else {
		c.reporter = newPlain(s.Err, c.err, time.Now, o.Verbose)
	}
	return c
}

// Reporter shows progress on stderr.
func (c *Console) Reporter() progress.Reporter { return c.reporter }

// Close finishes drawing. Nothing may be reported afterwards.
func (c *Console) Close() { c.reporter.close() }

// Print writes lines of a result to stdout, cleaned. Only a command that writes
// without end has to look at the error.
func (c *Console) Print(format string, arguments ...any) error {
	_, err := fmt.Fprintln(c.Out, CleanLines(fmt.Sprintf(format, arguments...)))
	return err
}

// Heading writes the title of a part of a result.
func (c *Console) Heading(text string) {
	fmt.Fprintln(c.Out, c.out.bold(Clean(text)))
}

// JSON writes a result for a program to read.
func (c *Console) JSON(result any) error {
	encoder := json.NewEncoder(c.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}

// Error prints why the command failed, and on a second line what to do.
func (c *Console) Error(err error) {
	fmt.Fprintln(c.Err, c.err.bad("error:")+" "+CleanLines(err.Error()))
	if hint := fault.Hint(err); hint != "" {
		fmt.Fprintln(c.Err, c.err.strong("hint:")+" "+CleanLines(hint))
	}
}

// Explain writes what an error's one line is too short for, before it.
func (c *Console) Explain(text string) {
	fmt.Fprintln(c.Err, CleanLines(strings.TrimRight(text, "\n"))+"\n")
}

// ClearScreen begins a new page on a terminal; elsewhere pages just follow.
func (c *Console) ClearScreen() {
	if c.Terminal {
		io.WriteString(c.Out, "\x1b[H\x1b[2J")
	}
}

func hasValue(environ []string, name string) bool {
	return slices.ContainsFunc(environ, func(entry string) bool {
		return len(entry) > len(name)+1 && entry[:len(name)+1] == name+"="
	})
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// width is the window's, or the usual one where it cannot be told.
func width(stream any) int {
	if file, ok := stream.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}
