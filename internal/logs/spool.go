package logs

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
)

// spoolBytes is how much of lines is kept in memory at a time.
const spoolBytes = 64 << 20

// spool sorts any number of lines: what memory must not hold goes in sorted runs
// to a file that has no name, and therefore vanishes with the process. It is safe
// for concurrent use until it is read.
type spool struct {
	limit int

	mu    sync.Mutex
	lines []numbered
	bytes int
	file  *os.File
	// runs are the ends of the runs in the file.
	runs []int64
}

// numbered is a line with its place among those of the same time.
type numbered struct {
	Line
	number uint64
}

func compare(a, b numbered) int {
	return cmp.Or(order(a.Line, b.Line), cmp.Compare(a.number, b.number))
}

// add takes a line. The number puts those of one container and time in order, as
// far as they are in one run.
func (s *spool) add(l Line, number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, numbered{l, number})
	const overhead, each = 200, 48 // of the structures that hold the texts
	s.bytes += overhead + len(l.Level) + len(l.Message) + len(l.Pod) + len(l.Container) + len(l.Node)
	for _, f := range l.Fields {
		s.bytes += each + len(f.Name) + len(f.Value)
	}
	if s.bytes < s.limit {
		return nil
	}
	return s.spill()
}

// spill writes what is in memory to the file.
func (s *spool) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp("", "berth-logs-")
		if err != nil {
			return fmt.Errorf("make a file to sort lines in: %w", err)
		}
		s.file = file
		if err := os.Remove(file.Name()); err != nil {
			return fmt.Errorf("take the name from the file to sort lines in: %w", err)
		}
	}
	slices.SortFunc(s.lines, compare)
	w := bufio.NewWriterSize(s.file, 1<<18)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for i := range s.lines {
		if err := encoder.Encode(&s.lines[i].Line); err != nil {
			return fmt.Errorf("sort lines in a file: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sort lines in a file: %w", err)
	}
	end, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("sort lines in a file: %w", err)
	}
	s.runs = append(s.runs, end)
	clear(s.lines)
	s.lines, s.bytes = s.lines[:0], 0
	return nil
}

// all returns the lines in the order of time, each once.
func (s *spool) all() iter.Seq2[Line, error] {
	slices.SortFunc(s.lines, compare)
	sorted := []iter.Seq2[Line, error]{func(yield func(Line, error) bool) {
		for _, l := range s.lines {
			if !yield(l.Line, nil) {
				return
			}
		}
	}}
	begin := int64(0)
	for _, end := range s.runs {
		sorted = append(sorted, s.run(begin, end-begin))
		begin = end
	}
	return once(Merge(sorted...))
}

// run reads one run of the file.
func (s *spool) run(begin, length int64) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		d := json.NewDecoder(bufio.NewReaderSize(io.NewSectionReader(s.file, begin, length), 1<<16))
		for {
			var l Line
			err := d.Decode(&l)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Line{}, fmt.Errorf("sort lines in a file: %w", err))
				return
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// once leaves out what was delivered again: lines that are the same as another one
// of the same container and time.
func once(lines iter.Seq2[Line, error]) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var group Line // whose time and container those in seen have
		seen := map[[sha256.Size]byte]bool{}
		for l, err := range lines {
			if err == nil {
				if order(group, l) != 0 {
					clear(seen)
					group = l
				}
				sum := l.sum()
				if seen[sum] {
					continue
				}
				seen[sum] = true
			}
			if !yield(l, err) {
				return
			}
		}
	}
}
