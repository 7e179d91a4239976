// Package structure takes apart what a program wrote in one go, a line or a stack
// trace. A JSON object has a message, a level and other members; any other text
// is a message as it is, and its level is looked for where programs write it.
//
// A line is read twice: before it is queued, to take its secrets out, and by the
// sink that sends it. In between it is text: a record with attributes would be
// written down and read back value by value, which costs more than reading the
// line again.
package structure

import (
	"strings"

	"github.com/valyala/fastjson"
)

// A Parser reads lines, one at a time: it uses its memory again.
type Parser struct {
	json   fastjson.Parser
	buffer []byte
}

// Line is what a program wrote. It is good until its parser reads the next one.
type Line struct {
	Message string
	// Level is what the program calls it, and "" where that is not known.
	Level string

	object *fastjson.Object
	// message and level are where in the object they stand, or -1.
	message, level int
}

// Parse understands any text.
func (p *Parser) Parse(text string) Line {
	l := Line{Message: text, object: p.object(text), message: -1, level: -1}
	if l.object == nil {
		l.Level = levelOfText(text)
		return l
	}
	at := 0
	l.object.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "msg", "message":
			if l.message < 0 && v.Type() == fastjson.TypeString {
				l.message, l.Message = at, stringOf(v)
			}
		case "level", "severity", "lvl":
			if name := levelOf(v); l.level < 0 && name != "" {
				l.level, l.Level = at, name
			}
		}
		at++
	})
	return l
}

// object returns nil for text that is not a JSON object.
func (p *Parser) object(text string) *fastjson.Object {
	if !strings.HasPrefix(text, "{") {
		return nil
	}
	value, err := p.json.Parse(text)
	if err != nil {
		return nil
	}
	return value.GetObject()
}

// members visits what is neither message nor level, in the order in which the
// program wrote it.
func (l *Line) members(visit func(key []byte, v *fastjson.Value)) {
	at := 0
	l.object.Visit(func(key []byte, v *fastjson.Value) {
		if at != l.message && at != l.level {
			visit(key, v)
		}
		at++
	})
}

// length is how many members there are at most.
func (l *Line) length() int {
	if l.object == nil {
		return 0
	}
	return l.object.Len()
}

// stringOf copies, as the parser's memory is used again, and mends what an
// escape may have brought in.
func stringOf(v *fastjson.Value) string {
	return strings.ToValidUTF8(string(v.GetStringBytes()), "\uFFFD")
}
