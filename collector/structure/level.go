package structure

import (
	"strings"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/plog"
)

// severities maps what programs call their levels, in upper case, to
// OpenTelemetry's numbers. LOG is PostgreSQL's word.
var severities = map[string]plog.SeverityNumber{
	"TRACE": plog.SeverityNumberTrace,
	"DEBUG": plog.SeverityNumberDebug,
	"INFO":  plog.SeverityNumberInfo, "INFORMATION": plog.SeverityNumberInfo, "LOG": plog.SeverityNumberInfo,
	"NOTICE": plog.SeverityNumberInfo2, "HINT": plog.SeverityNumberInfo2,
	"WARN": plog.SeverityNumberWarn, "WARNING": plog.SeverityNumberWarn,
	"ERROR": plog.SeverityNumberError, "ERR": plog.SeverityNumberError,
	"CRITICAL": plog.SeverityNumberError2, "CRIT": plog.SeverityNumberError2, "ALERT": plog.SeverityNumberError3,
	"FATAL": plog.SeverityNumberFatal, "PANIC": plog.SeverityNumberFatal, "EMERG": plog.SeverityNumberFatal,
}

// severityOf returns the number of a level, and none for a word that is not one.
// slog writes the levels between its own as INFO+2.
func severityOf(level string) plog.SeverityNumber {
	if n, ok := severities[level]; ok {
		return n
	}
	name, _, _ := strings.Cut(strings.ToUpper(level), "+")
	name, _, _ = strings.Cut(name, "-")
	return severities[name]
}

// levelOf returns the level that a JSON line names, and "" for what is none.
func levelOf(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeString:
		if level := stringOf(v); severityOf(level) != plog.SeverityNumberUnspecified {
			return level
		}
	case fastjson.TypeNumber:
		// The numbers of Pino and Bunyan.
		switch v.GetInt() {
		case 10:
			return "TRACE"
		case 20:
			return "DEBUG"
		case 30:
			return "INFO"
		case 40:
			return "WARN"
		case 50:
			return "ERROR"
		case 60:
			return "FATAL"
		}
	}
	return ""
}

// levelOfText finds the level in the beginning of a plain line, where programs
// write it in capitals or in brackets: "[error]", "ERROR:", "level=warn".
func levelOfText(text string) string {
	if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
		return "FATAL"
	}
	if strings.HasPrefix(text, "Traceback (most recent call last)") || strings.HasPrefix(text, "Exception in thread ") {
		return "ERROR"
	}
	const beginning = 100
	head := text[:min(len(text), beginning)]
	for i := 0; i < len(head); {
		if !isLetter(head[i]) {
			i++
			continue
		}
		begin := i
		for i < len(head) && isLetter(head[i]) {
			i++
		}
		word := head[begin:i]
		if len(word) > len("INFORMATION") {
			continue
		}
		marked := begin > 0 && i < len(head) && (head[begin-1] == '[' && head[i] == ']' || head[begin-1] == '<' && head[i] == '>') ||
			strings.HasSuffix(head[:begin], "level=") || strings.HasSuffix(head[:begin], `level="`)
		if marked {
			word = strings.ToUpper(word)
		}
		if _, known := severities[word]; known {
			return word
		}
	}
	return ""
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
