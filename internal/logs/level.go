package logs

import (
	"encoding/json"
	"log/slog"
	"strings"
)

// The levels below and above slog's own.
const (
	levelTrace slog.Level = -8
	levelFatal slog.Level = 12
)

// levels maps what programs call their levels. The log agent knows the same words
// (collector/containerlog/severity.go). LOG is PostgreSQL's.
var levels = map[string]slog.Level{
	"TRACE": levelTrace, "DEBUG": slog.LevelDebug,
	"INFO": slog.LevelInfo, "INFORMATION": slog.LevelInfo, "LOG": slog.LevelInfo,
	"NOTICE": slog.LevelInfo + 1, "HINT": slog.LevelInfo + 1,
	"WARN": slog.LevelWarn, "WARNING": slog.LevelWarn,
	"ERROR": slog.LevelError, "ERR": slog.LevelError,
	"CRITICAL": slog.LevelError + 1, "CRIT": slog.LevelError + 1, "ALERT": slog.LevelError + 2,
	"FATAL": levelFatal, "PANIC": levelFatal, "EMERG": levelFatal,
}

// numbers are the levels of Pino and Bunyan.
var numbers = map[string]string{"10": "TRACE", "20": "DEBUG", "30": "INFO", "40": "WARN", "50": "ERROR", "60": "FATAL"}

// levelOf returns the level of a name. slog writes those between its own as INFO+2.
func levelOf(name string) (slog.Level, bool) {
	name, _, _ = strings.Cut(strings.ToUpper(name), "+")
	name, _, _ = strings.Cut(name, "-")
	level, known := levels[name]
	return level, known
}

// Severity is the line's level, and that of info where it has none that is known.
func (l Line) Severity() slog.Level {
	level, _ := levelOf(l.Level)
	return level
}

// levelOfValue returns the level that a member of a line in JSON names, in
// capitals, and "" for what is none.
func levelOfValue(value json.RawMessage) string {
	var name string
	if json.Unmarshal(value, &name) != nil {
		return numbers[string(value)]
	}
	if _, known := levelOf(name); !known {
		return ""
	}
	return strings.ToUpper(name)
}

// levelOfText finds the level in the beginning of a plain line, where programs
// write it in capitals or in brackets: "[error]", "ERROR:", "level=warn".
func levelOfText(text string) string {
	switch {
	case strings.HasPrefix(text, "panic: "), strings.HasPrefix(text, "fatal error: "):
		return "FATAL"
	case strings.HasPrefix(text, "Traceback (most recent call last)"), strings.HasPrefix(text, "Exception in thread "):
		return "ERROR"
	}
	const beginning = 100
	head := text[:min(len(text), beginning)]
	for at := 0; at < len(head); {
		begin := at + strings.IndexFunc(head[at:], isLetter)
		if begin < at {
			return ""
		}
		end := len(head)
		if n := strings.IndexFunc(head[begin:], func(r rune) bool { return !isLetter(r) }); n >= 0 {
			end = begin + n
		}
		before, word, after := head[:begin], head[begin:end], head[end:]
		if strings.HasSuffix(before, "[") && strings.HasPrefix(after, "]") || strings.HasSuffix(before, "<") && strings.HasPrefix(after, ">") ||
			strings.HasSuffix(before, "level=") || strings.HasSuffix(before, `level="`) {
			word = strings.ToUpper(word)
		}
		if _, known := levels[word]; known {
			return word
		}
		at = end
	}
	return ""
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
