package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"berth/internal/fault"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func isVariable(name string) bool { return variable.MatchString(name) }

func readDotEnv(path string) (map[string]string, error) {
	source, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	values, err := parseDotEnv(string(source))
	if err != nil {
		return nil, fault.Usage("%s: %w", filepath.Base(path), err)
	}
	return values, nil
}

// parseDotEnv reads lines of NAME=VALUE. A line may begin with "export"; "#"
// begins a comment at the start of a line and after a space. Single quotes keep
// what they hold; double quotes know \n, \r, \t, \", \$ and \\. Nothing is
// expanded, so that a secret may hold a dollar sign. Errors name the line and
// never what it holds.
func parseDotEnv(source string) (map[string]string, error) {
	values := map[string]string{}
	first := map[string]int{}
	source = strings.TrimPrefix(source, "\ufeff")
	for i, line := range strings.Split(source, "\n") {
		name, value, err := parseVariable(strings.TrimSuffix(line, "\r"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if name == "" {
			continue
		}
		if at, ok := first[name]; ok {
			return nil, fmt.Errorf("line %d: %s is set already in line %d", i+1, name, at)
		}
		first[name] = i + 1
		values[name] = value
	}
	return values, nil
}

// parseVariable reads one line. The name is empty where the line says nothing.
func parseVariable(line string) (name, value string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return "", "", errors.New("is not text in UTF-8")
	}
	line = export.ReplaceAllString(line, "")
	name, value, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if !ok || !isVariable(name) {
		return "", "", errors.New("must be NAME=VALUE, a comment or empty")
	}
	if quoted := strings.TrimSpace(value); quoted != "" && (quoted[0] == '\'' || quoted[0] == '"') {
		value, err = unquote(quoted)
		return name, value, err
	}
	return name, strings.TrimSpace(comment.ReplaceAllString(value, "")), nil
}

var (
	export  = regexp.MustCompile(`^export[ \t]+`)
	comment = regexp.MustCompile(`[ \t]#.*$`)
)

// unquote reads a value that begins with a quote. Only a comment may follow it.
func unquote(text string) (string, error) {
	quote := text[0]
	var value strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == quote:
			rest := text[i+1:]
			if strings.TrimSpace(comment.ReplaceAllString(rest, "")) != "" {
				return "", errors.New("something follows the closing quote")
			}
			return value.String(), nil
		case quote == '"' && text[i] == '\\' && i+1 < len(text):
			i++
			escaped, ok := escapes[text[i]]
			if !ok {
				return "", errors.New(`a backslash between double quotes must be followed by one of n r t " $ \; single quotes keep it as it is`)
			}
			value.WriteByte(escaped)
		default:
			value.WriteByte(text[i])
		}
	}
	return "", errors.New("the closing quote is missing")
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '"': '"', '$': '$', '\\': '\\'}
