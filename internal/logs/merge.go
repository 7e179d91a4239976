package logs

import (
	"cmp"
	"container/heap"
	"iter"
	"strings"
)

// Merge merges logs, each in order of time, into one. An error of a log appears in
// place of a line; the other logs continue. All logs are started in the given order
// before the first line is returned.
func Merge(logs ...iter.Seq2[Line, error]) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var waiting heads
		// advance takes a log's next line; it reports false when nobody wants more.
		advance := func(h *head) bool {
			for {
				line, err, ok := h.next()
				if !ok {
					return true
				}
				if err == nil {
					h.line = line
					heap.Push(&waiting, h)
					return true
				}
				if !yield(Line{}, err) {
					return false
				}
			}
		}
		for i, log := range logs {
			next, stop := iter.Pull2(log)
			defer stop()
			if !advance(&head{next: next, number: i}) {
				return
			}
		}
		for len(waiting) > 0 {
			h := heap.Pop(&waiting).(*head)
			if !yield(h.line, nil) || !advance(h) {
				return
			}
		}
	}
}

// head is a log with its first line that is not merged yet.
type head struct {
	next   func() (Line, error, bool)
	line   Line
	number int
}

// heads is a heap of logs by their next line.
type heads []*head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	return cmp.Or(order(h[i].line, h[j].line), cmp.Compare(h[i].number, h[j].number)) < 0
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// order is that of lines: by time, and by container at the same time.
func order(a, b Line) int {
	return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Pod, b.Pod), strings.Compare(a.Container, b.Container))
}
