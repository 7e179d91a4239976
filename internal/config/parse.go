package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth/internal/fault"
)

// parse reads berth.yaml strictly: a key that berth does not know, a key
// written twice or a value of the wrong kind is an error that names its line.
// It fills in the defaults and leaves the values' meaning to [Config.Validate].
func parse(source []byte) (*Config, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(source, err)
	}
	if err := decoder.Decode(new(yaml.Node)); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(source, err)
	} else if err == nil {
		return nil, fault.Usage("%s holds more than one YAML document", File)
	}

	c := &Config{lines: map[string]int{}}
	found := mistakes{lines: c.lines}
	if len(document.Content) == 0 {
		return nil, fault.Usage("%s is empty", File)
	}
	root := document.Content[0]
	found.walk(root, reflect.TypeFor[Config](), "")
	c.zeros = found.zeros
	if err := found.err(); err != nil {
		return nil, err
	}
	if err := root.Decode(c); err != nil {
		return nil, fault.Usage("%s: %w", File, err)
	}
	if environments := child(root, "environments"); environments != nil {
		for i := 0; i+1 < len(environments.Content); i += 2 {
			c.order = append(c.order, environments.Content[i].Value)
		}
	}
	c.setDefaults()
	return c, nil
}

// child returns the value of a mapping's key, or nil.
func child(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// mistakes collects what is wrong with berth.yaml, each with its line.
type mistakes struct {
	lines map[string]int
	// zeros are the paths of numbers that are 0, to tell one from none.
	zeros map[string]bool
	found []mistake
}

type mistake struct {
	line int
	text string
}

// add notes a mistake at a path like "environments.staging.hosts[0]". A path
// that is not in the file, as of a key left out, takes its parent's line.
func (m *mistakes) add(path, format string, arguments ...any) {
	line := 0
	for at := path; at != "" && line == 0; at = parent(at) {
		line = m.lines[at]
	}
	m.found = append(m.found, mistake{line, path + ": " + fmt.Sprintf(format, arguments...)})
}

// has reports whether a path is in the file.
func (m *mistakes) has(path string) bool { return m.lines[path] != 0 }

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// err returns all mistakes as one error in the order of their lines, or nil.
func (m *mistakes) err() error {
	if len(m.found) == 0 {
		return nil
	}
	slices.SortStableFunc(m.found, func(a, b mistake) int { return a.line - b.line })
	var text []string
	for _, one := range m.found {
		if one.line == 0 {
			text = append(text, one.text)
			continue
		}
		text = append(text, fmt.Sprintf("line %d: %s", one.line, one.text))
	}
	if len(text) == 1 {
		return fault.Usage("%s: %s", File, text[0])
	}
	return fault.Usage("%s has %d mistakes:\n  %s", File, len(text), strings.Join(text, "\n  "))
}

// shorthand is a type that berth.yaml may also write as a single value.
type shorthand interface {
	// scalar returns what the value must be; empty when it is that.
	scalar(*yaml.Node) string
}

// walk compares a node's shape with the Go type that it will be decoded into.
func (m *mistakes) walk(node *yaml.Node, t reflect.Type, path string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if path != "" {
		m.lines[path] = node.Line
	}
	if node.Tag == "!!null" {
		return // a key without a value is a key left out
	}
	value := reflect.New(t).Interface()
	if text, ok := value.(encoding.TextUnmarshaler); ok {
		if node.Kind != yaml.ScalarNode {
			m.wrongKind(node, path, "a text")
		} else if err := text.UnmarshalText([]byte(node.Value)); err != nil {
			m.add(path, "%v; it is %q", err, node.Value)
		}
		return
	}
	if short, ok := value.(shorthand); ok && node.Kind == yaml.ScalarNode {
		if want := short.scalar(node); want != "" {
			m.wrongKind(node, path, want)
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		if node.Kind != yaml.MappingNode {
			want := "a mapping of keys to values"
			if t.Kind() == reflect.Struct && path != "" {
				want = "a mapping with " + strings.Join(keysOf(t), ", ")
			}
			m.wrongKind(node, path, want)
			return
		}
		m.walkMapping(node, t, path)
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			want := "a list"
			if node.Kind == yaml.ScalarNode {
				want = fmt.Sprintf("a list, like [%s]", node.Value)
			}
			m.wrongKind(node, path, want)
			return
		}
		for i, item := range node.Content {
			m.walk(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Int:
		number, err := strconv.Atoi(node.Value)
		switch {
		case node.Tag == "!!str" && err == nil:
			m.wrongKind(node, path, "a whole number without quotes")
		case node.Tag != "!!int":
			m.wrongKind(node, path, "a whole number")
		case number == 0 && err == nil:
			if m.zeros == nil {
				m.zeros = map[string]bool{}
			}
			m.zeros[path] = true
		}
	case reflect.Bool:
		if node.Tag != "!!bool" {
			m.wrongKind(node, path, "true or false")
		}
	case reflect.String:
		if node.Kind != yaml.ScalarNode {
			m.wrongKind(node, path, "a text")
		}
	}
}

func (m *mistakes) walkMapping(node *yaml.Node, t reflect.Type, path string) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		m.lines[at] = key.Line
		if first, ok := seen[key.Value]; ok {
			m.add(at, "is written twice, first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		if key.Tag == "!!merge" {
			m.add(at, "merging is not read: write the keys out; a whole value may be an alias, like env: *common")
			continue
		}
		switch t.Kind() {
		case reflect.Map:
			m.walk(value, t.Elem(), at)
		case reflect.Struct:
			field, ok := fieldOf(t, key.Value)
			if !ok {
				m.add(at, "%s", noSuchKey(key.Value, t))
				continue
			}
			m.walk(value, field.Type, at)
		}
		m.lines[at] = key.Line
	}
}

func (m *mistakes) wrongKind(node *yaml.Node, path, want string) {
	is := "it is a mapping"
	switch node.Kind {
	case yaml.ScalarNode:
		is = fmt.Sprintf("it is %q", node.Value)
	case yaml.SequenceNode:
		is = "it is a list"
	}
	if path == "" {
		m.found = append(m.found, mistake{0, fmt.Sprintf("must be %s; %s", want, is)})
		return
	}
	m.add(path, "must be %s; %s", want, is)
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range t.Fields() {
		if field.IsExported() && key != "-" && field.Tag.Get("yaml") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for field := range t.Fields() {
		if key := field.Tag.Get("yaml"); field.IsExported() && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

// words are what other tools call a key, and where it is here.
var words = map[string]string{
	"environment": `"environments", or "env" for variables`,
	"cmd":         `"command"`, "entrypoint": `"command"`, "args": `"command"`,
	"ports": `"port"`, "expose": `"port"`, "healthcheck": `"health"`, "healthCheck": `"health"`, "readinessProbe": `"health"`,
	"domain": `"hosts" below environments.NAME`, "domains": `"hosts" below environments.NAME`, "ingress": `"hosts" below environments.NAME`,
	"env_file": `"secrets", whose values .env has`, "envFile": `"secrets", whose values .env has`,
	"workers": `"processes"`, "worker": `"processes"`, "cron": `"processes"`, "crons": `"processes"`, "jobs": `"processes"`,
	"migrate": `"release"`, "migrations": `"release"`, "postdeploy": `"release"`, "scale": `"replicas"`, "timezone": `"timeZone"`,
	"mount": `"path"`, "limits": `"memory" beside "cpu"`, "requests": `"memory" beside "cpu"`, "addons": `"services"`,
}

// noSuchKey says what may be meant by a key that a mapping does not have.
func noSuchKey(key string, t reflect.Type) string {
	application, environment := reflect.TypeFor[Config](), reflect.TypeFor[Environment]()
	if word, ok := words[key]; ok && fits(word, t) {
		return "there is no such key; did you mean " + word + "?"
	}
	if _, ok := fieldOf(environment, key); ok && t == application {
		return "is a key of each environment: write it below environments.NAME"
	}
	if _, ok := fieldOf(application, key); ok && t == environment {
		return "is a key of the whole application: write it at the top of the file"
	}
	return "there is no such key; " + suggest(key, keysOf(t))
}

// fits reports whether what a word stands for is a key of a mapping, or is elsewhere.
func fits(word string, t reflect.Type) bool {
	_, name, _ := strings.Cut(word, `"`)
	name, more, _ := strings.Cut(name, `"`)
	_, ok := fieldOf(t, name)
	return ok || strings.HasPrefix(more, " below") && t == reflect.TypeFor[Config]()
}

// suggest names the valid key that was probably meant, or all of them when
// none is near.
func suggest(key string, valid []string) string {
	best, bestDistance := "", 3
	for _, candidate := range valid {
		if d := distance(strings.ToLower(key), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "the keys here are " + strings.Join(valid, ", ")
}

// distance is the Levenshtein distance of two strings in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
