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

func readDotEnv(path string) (map[string]string, error) {
	source, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	variables, err := ParseDotEnv(string(source))
	if err != nil {
		return nil, fault.Usage("%s: %w", filepath.Base(path), err)
	}
	values := make(map[string]string, len(variables))
	for _, v := range variables {
		values[v.Name] = v.Value
	}
	return values, nil
}

// Variable is one entry of a .env. Its value is secret.
type Variable struct{ Name, Value string }

// ParseDotEnv reads the entries of a .env in their order. An entry is
// NAME=VALUE, in one of three forms:
//
//	NAME=text           up to the end of the line, or to a "#" after a space
//	NAME='text'         as it stands, over several lines where it has them
//	NAME="text"         the same, but it knows \n \r \t \" \$ and \\
//
// "export" may stand before the name, spaces around the name and the value, and
// a comment after the value. Nothing is expanded, so that a secret may hold a
// dollar sign. Errors name the line and never what it holds.
func ParseDotEnv(source string) ([]Variable, error) {
	source = strings.TrimPrefix(source, "\ufeff")
	source = strings.ReplaceAll(source, "\r\n", "\n")
	var variables []Variable
	first := map[string]int{}
	for line := 1; source != ""; {
		name, value, rest, err := cutVariable(source)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if at, ok := first[name]; ok {
			return nil, fmt.Errorf("line %d: %s is set already in line %d", line, name, at)
		}
		if name != "" {
			first[name] = line
			variables = append(variables, Variable{name, value})
		}
		line += strings.Count(source[:len(source)-len(rest)], "\n")
		source = rest
	}
	return variables, nil
}

// cutVariable reads the entry that source begins with and returns what follows
// it. The name is empty where the line says nothing.
func cutVariable(source string) (name, value, rest string, err error) {
	line, rest, _ := strings.Cut(source, "\n")
	if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
		return "", "", rest, nil
	}
	before, after, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(export.ReplaceAllString(before, ""))
	quoted := strings.TrimLeft(after, " \t")
	switch {
	case !isText(line):
		return "", "", "", errNotText
	case !ok || !isVariable(name):
		return "", "", "", errors.New("must be NAME=VALUE, a comment or empty; a value of several lines must be in quotes")
	case quoted != "" && (quoted[0] == '\'' || quoted[0] == '"'):
		// The value may go on in the lines that follow.
		value, rest, err = unquote(source[len(line)-len(quoted):])
		return name, value, rest, err
	}
	value = strings.TrimSpace(comment.ReplaceAllString(after, ""))
	if strings.HasPrefix(value, "-----BEGIN ") && strings.Count(value, "-----") < 4 {
		// The lines of a key that follow would pass for names.
		return "", "", "", errors.New("a value of several lines must be in quotes")
	}
	return name, value, rest, nil
}

// unquote reads a value that begins with a quote, and returns what follows the
// line in which it ends. Only a comment may stand between.
func unquote(source string) (value, rest string, err error) {
	quote := source[0]
	var text strings.Builder
	for i := 1; i < len(source); i++ {
		switch {
		case source[i] == quote:
			after, rest, _ := strings.Cut(source[i+1:], "\n")
			switch {
			case !isText(text.String()):
				return "", "", errNotText
			case strings.TrimSpace(comment.ReplaceAllString(after, "")) != "":
				return "", "", errors.New("something follows the closing quote" + inLine(source[:i]))
			}
			return text.String(), rest, nil
		case quote == '"' && source[i] == '\\':
			i++
			if i == len(source) {
				break
			}
			escaped, ok := escapes[source[i]]
			if !ok {
				return "", "", fmt.Errorf(`a backslash between double quotes must be followed by one of n r t " $ \%s; single quotes keep it as it is`, inLine(source[:i]))
			}
			text.WriteByte(escaped)
		default:
			text.WriteByte(source[i])
		}
	}
	return "", "", errors.New("the closing quote is missing")
}

var (
	export     = regexp.MustCompile(`^[ \t]*export[ \t]+`)
	comment    = regexp.MustCompile(`[ \t]#.*$`)
	errNotText = errors.New("is not text in UTF-8")
)

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// inLine says how far below the beginning of its entry a mistake is, where it
// is not in the same line.
func inLine(before string) string {
	switch n := strings.Count(before, "\n"); n {
	case 0:
		return ""
	case 1:
		return ", one line below"
	default:
		return fmt.Sprintf(", %d lines below", n)
	}
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '"': '"', '$': '$', '\\': '\\'}
