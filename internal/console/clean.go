package console

import (
	"regexp"
	"strings"
	"unicode"
)

// sequence matches the escape sequences of ECMA-48: strings of the operating
// system and the device up to their terminator, control sequences, and the
// short ones.
var sequence = regexp.MustCompile(
	"(?:\x1b[\\]PX^_]|[\u009d\u0090\u0098\u009e\u009f])[^\x07\x1b\u009c]*(?:\x07|\x1b\\\\|\u009c|$)" +
		"|(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]" +
		"|\x1b[ -/]*[0-~]")

// Clean makes one line of text safe for a terminal: escape sequences are taken
// out, and so are control characters, invalid UTF-8 and the characters that
// change the direction of writing. Line ends and tabs become spaces.
func Clean(text string) string {
	if isClean(text) {
		return text
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	text = sequence.ReplaceAllString(text, "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unsafe(r):
			return -1
		}
		return r
	}, text)
}

// CleanLines is [Clean] for text of several lines.
func CleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

func isClean(text string) bool {
	for _, r := range text {
		if r == '\n' || r == '\t' || r == unicode.ReplacementChar || unsafe(r) {
			return false
		}
	}
	return true
}

// unsafe tells the control characters (C0, DEL, C1) and the bidirectional
// controls of Unicode's UAX #9, by which text can look like another one.
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
