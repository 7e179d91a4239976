package config

import (
	"bytes"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth/internal/fault"
)

// longestFile is how many lines are gone through to find the one with a mistake.
const longestFile = 2000

// special are the characters that mean something to YAML where a value begins.
var special = regexp.MustCompile("(?:^\\s*|[:-]\\s+|[\\[{,]\\s*)([*&!%@`])")

// syntaxError says in which line a berth.yaml stops being YAML, and what to write
// instead. The parser itself names the line where what it was reading began, one
// beside it, or none.
func syntaxError(source []byte, err error) error {
	lines := bytes.SplitAfter(source, []byte("\n"))
	if len(lines) > longestFile {
		return fault.Usage("%s: %w", File, err)
	}
	// What comes before the mistake is YAML; anything that includes it is not.
	good := len(lines) - 1
	for good > 0 && yaml.Unmarshal(bytes.Join(lines[:good], nil), new(yaml.Node)) != nil {
		good--
	}
	return fault.Usage("%s: line %d: %s", File, good+1, whatIsMeant(string(lines[good]), err.Error()))
}

// whatIsMeant is the parser's message in words that say what to do.
func whatIsMeant(line, message string) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	begins := special.FindStringSubmatch(line)
	has := func(part string) bool { return strings.Contains(message, part) }
	switch {
	case strings.Contains(indent, "\t"):
		return "is indented by a tab; YAML takes only spaces"
	case begins != nil && (has("cannot start any token") || has("alphabetic or numeric character") || has("unknown anchor") || has("did not find expected")):
		return `a value that begins with "` + begins[1] + `" must be in quotes`
	case has("mapping values are not allowed"):
		return "a text with a colon and a space in it must be in quotes, and the keys of one mapping must begin in one column"
	case has("',' or ']'"), has("',' or '}'"):
		return "a [ or { is not closed"
	case has("node content"):
		return "a [ or { is not closed, or a value is missing"
	case has("unexpected end of stream"), has("unexpected document indicator"):
		return "a quote is not closed"
	case has("did not find expected key"), has("did not find expected '-' indicator"), has("could not find expected ':'"):
		return "does not fit the lines above: the keys of one mapping must begin in one column, and nothing may follow a closing quote"
	}
	return place.ReplaceAllString(message, "")
}

// place is what the parser puts before its message.
var place = regexp.MustCompile(`^yaml: (line \d+: )?`)
