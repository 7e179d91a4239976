package nginx

import (
	"bytes"
	"io"
)

// lineWriter hands on whole lines, so that what else is written to the same
// place cannot come between the halves of one.
type lineWriter struct {
	out     io.Writer
	partial []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	end := bytes.LastIndexByte(p, '\n') + 1
	if end == 0 {
		l.partial = append(l.partial, p...)
		return len(p), nil
	}
	whole := p[:end]
	if len(l.partial) > 0 {
		whole = append(l.partial, whole...)
	}
	l.partial = append([]byte(nil), p[end:]...)
	if _, err := l.out.Write(whole); err != nil {
		return 0, err
	}
	return len(p), nil
}
