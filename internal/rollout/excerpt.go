package rollout

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	// tailLines is how much of a log without a traceback is shown, afterLines
	// how much of what follows one.
	tailLines, afterLines = 20, 5
	// traceLines bounds a traceback. Its beginning and its end say most.
	traceLines = 80
)

// The first lines of tracebacks, and what goes before the first.
var (
	traceStart = regexp.MustCompile(`^(Traceback \(most recent call last\):` + // Python
		`|(panic|fatal error|runtime error): ` + // Go
		`|Exception in thread |[\w$.]+\.[\w$]*(Exception|Error)(:|$)` + // Java
		`|(Uncaught )?([\w.]*Error|\[?[A-Z][\w.]*Error)\b.*(:|\[|\{|$)` + // Node
		`|\S+\.r[bu]:\d+:in .*\(.*(Error|Exception)\)` + // Ruby
		`|thread '.*' (\(\d+\) )?panicked at` + // Rust
		`|(PHP )?Fatal error: ` + // PHP
		`|\*\* \([A-Z]` + // Elixir
		`|fail: [\w.]+\[\d+\]$` + // .NET's logger
		`|Unhandled exception[.:])`) // .NET, Dart
	// Node shows the place first; so does Ruby its own, with the rest below.
	nodeSource = regexp.MustCompile(`^(node:|file:///|/)\S*:\d+$`)
	// Rust's and Elixir's tracebacks go on with a line of the message.
	messageBelow = regexp.MustCompile(`' (\(\d+\) )?panicked at|\*\* \([A-Z]`)
	// What continues a traceback at the beginning of a line.
	traceMore = regexp.MustCompile(`^(\s|$|Traceback |During handling of|The above exception|Caused by: |Suppressed: |goroutine \d+|\[signal |created by |main\.|[\w./()*-]+\(.*\)$|Require stack:|Stack trace:|#\d+ |- /|Node\.js v|note: |\})`)
	// What begins an error without anything that follows it.
	prefix = regexp.MustCompile(`^(\[?\d{4}-\d\d-\d\d\S*( \d\d:\d\d:\d\d\S*)?( [+-]\d{4})?\]?\s*)?(\[\d+\]\s*)?(\[?[A-Z]+\]?:?\s+)?`)
)

// excerpt returns what of a log tells why its program ended: the last traceback,
// whole, with a few lines of what followed; without one, the last lines.
func excerpt(lines []string) []string {
	begin, end := traceback(lines)
	if begin < 0 {
		return lines[max(0, len(lines)-tailLines):]
	}
	trace := slices.Clone(lines[begin:end])
	if more := len(trace) - traceLines; more > 0 {
		trace = slices.Concat(trace[:traceLines/4], []string{fmt.Sprintf("… %d lines …", more)}, trace[len(trace)-traceLines*3/4:])
	}
	after := lines[end:]
	if more := len(after) - afterLines; more > 0 {
		trace = append(trace, fmt.Sprintf("… %s …", count(more, "line")))
		after = after[more:]
	}
	return append(trace, after...)
}

// traceback finds the last traceback of a log, or begin -1.
func traceback(lines []string) (begin, end int) {
	begin, end = -1, -1
	for i := 0; i < len(lines); i++ {
		if !startsTrace(lines[i]) {
			continue
		}
		first := i
		for back := i - 1; back >= 0 && i-back <= 8; back-- {
			if nodeSource.MatchString(lines[back]) {
				first = back
			}
		}
		last, deep := i+1, 0
		python := strings.Contains(lines[i], "Traceback (")
		// The second line of these is the message, in any words.
		message := messageBelow.MatchString(lines[i])
		for last < len(lines) {
			line := bare(lines[last])
			if !traceMore.MatchString(line) {
				if message {
					message = false
					deep++
					last++
					continue
				}
				if !python {
					break
				}
				// The exception itself, after which only another may follow.
				python = false
				deep++
				last++
				continue
			}
			if strings.HasPrefix(line, "Traceback (") {
				python = true
			}
			if strings.TrimSpace(line) != "" {
				deep++
			}
			last++
		}
		for last > i+1 && strings.TrimSpace(lines[last-1]) == "" {
			last--
		}
		if deep > 0 {
			begin, end = first, last
			i = last - 1
		}
	}
	return begin, end
}

func startsTrace(line string) bool { return traceStart.MatchString(bare(line)) }

// bare is a line without the time and level that a logger put before it.
func bare(line string) string { return line[len(prefix.FindString(line)):] }
