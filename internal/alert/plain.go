package alert

import (
	"regexp"
	"strings"
	"unicode"
)

// sequence matches the control sequences of ECMA-48, as colours.
var sequence = regexp.MustCompile(`(\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]`)

// joiner is a character that shows nothing and parts a word for programs.
const joiner = "\u2060"

// harmless has, for what begins a mention, a tag, a link with a text of its own
// or code in any of the services' languages, what looks like it and does not.
var harmless = strings.NewReplacer(
	"@", "@"+joiner, // @everyone, @channel, @all, @room, @name
	"<", "‹", ">", "›", // <!channel>, <@U123>, <https://…|text>, <users/all>, HTML
	"`", "'", // ``` ends what is shown as code
	"](", "] (", "][", "] [", "]:", "] :", // [text](https://…) and its other forms
)

// Plain takes the power from text that a stranger may have written: in no service
// does it call anybody, link to what it does not show, or change how the rest is
// shown. Lines stay lines.
func Plain(text string) string {
	text = sequence.ReplaceAllString(strings.ToValidUTF8(text, "\ufffd"), "")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, text)
	return harmless.Replace(text)
}
