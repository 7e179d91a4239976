package logs

import (
	"strings"

	"berth/logline"
)

// Parse takes the text of a container's line apart, as the log agent does before
// a line reaches the archive: both do it by package logline.
func Parse(text string) (level, message string, fields Fields) {
	var p logline.Parser
	l := p.Parse(strings.ToValidUTF8(text, "\uFFFD"))
	l.Each(func(name string, value []byte) { fields = append(fields, Field{name, value}) })
	return strings.ToUpper(l.Level), l.Message, fields
}
