package backup

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
)

const (
	// sharedFrom is how many bytes of rows of a table one session loads before a second
	// one helps.
	sharedFrom = 16 << 20
	// turn is how many bytes of rows a session is given at a time. More than that waits
	// in its pipe, so that it has work while the other is fed.
	turn = 256 << 10
)

// errAlone ends a helper whose first session has failed.
var errAlone = errors.New("the first session has ended")

// sharing is a reader of the part of a dump that the first session gets. What the second
// gets is passed on while it is read.
type sharing struct {
	sql    io.Reader
	passed *scanner
	start  func(rows io.Reader) error // has the second session load them
	from   int                        // see sharedFrom
	turn   int

	block []byte // as it comes
	held  int    // how much of it is the beginning of a line
	ready []byte // of the first session, and not read yet
	out   []byte // the memory of ready
	err   error  // what follows it

	settings []byte  // of a session, from the head of the dump
	settled  bool    // settings is complete
	rows     int     // bytes of the present table
	turned   int     // bytes of the present turn
	helper   *helper // of the present table
	itsTurn  bool
}

func newSharing(sql io.Reader, passed *scanner, start func(rows io.Reader) error) *sharing {
	return &sharing{sql: sql, passed: passed, start: start, block: make([]byte, turn), from: sharedFrom, turn: turn}
}

func (s *sharing) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// stop ends a helper that has not finished.
func (s *sharing) stop() {
	if s.helper != nil {
		s.helper.in.CloseWithError(errAlone)
		<-s.helper.ended
	}
}

func (s *sharing) fill() {
	n, err := s.sql.Read(s.block[s.held:])
	data := s.block[:s.held+n]
	whole := bytes.LastIndexByte(data, '\n') + 1
	if err != nil || whole == 0 && len(data) == len(s.block) {
		whole = len(data) // the last, or a part of a very long one
	}
	s.out = s.out[:0]
	if s.err = s.pass(data[:whole]); s.err == nil {
		s.err = err
	}
	s.ready, s.held = s.out, copy(s.block, data[whole:])
}

// pass gives each line to the one whose it is. A turn changes where a line begins.
func (s *sharing) pass(data []byte) error {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n') + 1
		if end == 0 {
			end = len(data) // a part of a line
		}
		line := data[:end]
		data = data[end:]
		wasRows := s.passed.state == inRows
		_, _ = s.passed.Write(line) // never fails
		isRows := s.passed.state == inRows
		switch {
		case wasRows && isRows:
			if err := s.row(line); err != nil {
				return err
			}
		case wasRows:
			s.out = append(s.out, line...)
			if err := s.endRows(); err != nil {
				return err
			}
		default:
			s.settle(line)
			s.out = append(s.out, line...)
		}
	}
	return nil
}

// row passes on a row, or a part of one.
func (s *sharing) row(line []byte) error {
	s.rows += len(line)
	s.turned += len(line)
	if s.itsTurn {
		if err := s.helper.write(line); err != nil {
			return err
		}
	} else {
		s.out = append(s.out, line...)
	}
	if s.turned < s.turn || s.rows < s.from || line[len(line)-1] != '\n' {
		return nil
	}
	s.turned, s.itsTurn = 0, !s.itsTurn
	if s.helper != nil {
		return nil
	}
	s.helper = help(s.start)
	return s.helper.write(slices.Concat(s.settings, s.passed.copied, []byte{'\n'}))
}

// endRows waits until the helper has loaded what it was given of a table.
func (s *sharing) endRows() error {
	h := s.helper
	s.rows, s.turned, s.helper, s.itsTurn = 0, 0, nil, false
	if h == nil {
		return nil
	}
	return h.finish()
}

// settle takes the settings of the session from the head of a dump.
func (s *sharing) settle(line []byte) {
	switch {
	case s.settled:
	case bytes.HasPrefix(line, []byte("-- Name: ")) || bytes.HasPrefix(line, dataHeader):
		s.settled = true
	case bytes.HasPrefix(line, []byte("SET ")) || bytes.HasPrefix(line, []byte("SELECT pg_catalog.set_config(")):
		s.settings = append(s.settings, line...)
	}
}

// A helper is a session that loads some of a table's rows.
type helper struct {
	in     *io.PipeWriter
	buffer []byte
	ended  chan struct{}
	err    error // what it has ended with
}

func help(load func(rows io.Reader) error) *helper {
	rows, in := io.Pipe()
	h := &helper{in: in, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		h.err = load(rows)
		rows.CloseWithError(h.err)
	}()
	return h
}

// write gives it lines, several at a time.
func (h *helper) write(lines []byte) error {
	h.buffer = append(h.buffer, lines...)
	if len(h.buffer) < turn {
		return nil
	}
	return h.flush()
}

func (h *helper) flush() error {
	_, err := h.in.Write(h.buffer)
	h.buffer = h.buffer[:0]
	return err
}

// finish has it end, and returns what it has ended with.
func (h *helper) finish() error {
	h.buffer = append(h.buffer, "\\.\n"...)
	err := h.flush()
	h.in.CloseWithError(err) // nil is the end of all
	<-h.ended
	return cmp.Or(h.err, err)
}
