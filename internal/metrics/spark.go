package metrics

import "strings"

var blocks = []rune("▁▂▃▄▅▆▇█")

// Spark draws values as a line of blocks, from 0 to the greatest of them. Where there
// is none it leaves a gap.
func Spark(values []Value) string {
	_, most, _ := Span(values)
	var line strings.Builder
	for _, v := range values {
		switch {
		case v.Missing():
			line.WriteByte(' ')
		case most <= 0:
			line.WriteRune(blocks[0])
		default:
			line.WriteRune(blocks[max(0, min(len(blocks)-1, int(float64(v)/float64(most)*float64(len(blocks)))))])
		}
	}
	return line.String()
}

// Span returns the least, the greatest and the last of values; all of them are [None]
// where there is none.
func Span(values []Value) (least, most, last Value) {
	least, most, last = None, None, None
	for _, v := range values {
		if v.Missing() {
			continue
		}
		last = v
		if least.Missing() || v < least {
			least = v
		}
		if most.Missing() || v > most {
			most = v
		}
	}
	return least, most, last
}
