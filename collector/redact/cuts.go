package redact

import "strings"

// cuts collects the parts of a text that are to be replaced, in their order.
type cuts struct {
	text string
	done int
	b    strings.Builder
}

// cut replaces text[from:to], unless it is marked already.
func (c *cuts) cut(from, to int) {
	from = max(from, c.done)
	if from >= to || strings.HasPrefix(c.text[from:], Mark) {
		return
	}
	c.b.WriteString(c.text[c.done:from])
	c.b.WriteString(Mark)
	c.done = to
}

func (c *cuts) String() string {
	if c.done == 0 {
		return c.text
	}
	c.b.WriteString(c.text[c.done:])
	return c.b.String()
}
