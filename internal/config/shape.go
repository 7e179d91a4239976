package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// shape compares the shape of berth.yaml with the types that it is decoded into.
type shape struct {
	mistakes
	// zeros are the paths of numbers that are 0, to tell one from none.
	zeros map[string]bool
}

// shorthand is a type that berth.yaml may also write as a single value.
type shorthand interface {
	// scalar returns what the value must be; empty when it is that.
	scalar(*yaml.Node) string
}

// walk compares a node's shape with the Go type that it will be decoded into.
func (s *shape) walk(node *yaml.Node, t reflect.Type, path string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if path != "" {
		s.lines[path] = node.Line
	}
	if node.Tag == "!!null" {
		return // a key without a value is a key left out
	}
	value := reflect.New(t).Interface()
	if text, ok := value.(encoding.TextUnmarshaler); ok {
		if node.Kind != yaml.ScalarNode {
			s.wrongKind(node, path, "a text")
		} else if err := text.UnmarshalText([]byte(node.Value)); err != nil {
			s.add(path, "%v; it is %q", err, node.Value)
		}
		return
	}
	if short, ok := value.(shorthand); ok && node.Kind == yaml.ScalarNode {
		if want := short.scalar(node); want != "" {
			s.wrongKind(node, path, want)
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
			s.wrongKind(node, path, want)
			return
		}
		s.walkMapping(node, t, path)
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			want := "a list"
			if node.Kind == yaml.ScalarNode {
				want = fmt.Sprintf("a list, like [%s]", node.Value)
			}
			s.wrongKind(node, path, want)
			return
		}
		for i, item := range node.Content {
			s.walk(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Int:
		number, err := strconv.Atoi(node.Value)
		switch {
		case node.Tag == "!!str" && err == nil:
			s.wrongKind(node, path, "a whole number without quotes")
		case node.Tag != "!!int":
			s.wrongKind(node, path, "a whole number")
		case number == 0 && err == nil:
			s.zeros[path] = true
		}
	case reflect.Bool:
		if node.Tag != "!!bool" {
			s.wrongKind(node, path, "true or false")
		}
	case reflect.String:
		if node.Kind != yaml.ScalarNode {
			s.wrongKind(node, path, "a text")
		}
	}
}

func (s *shape) walkMapping(node *yaml.Node, t reflect.Type, path string) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		s.lines[at] = key.Line
		if first, ok := seen[key.Value]; ok {
			s.add(at, "is written twice, first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		switch t.Kind() {
		case reflect.Map:
			s.walk(value, t.Elem(), at)
		case reflect.Struct:
			field, ok := fieldOf(t, key.Value)
			if !ok {
				s.add(at, "%s", noSuchKey(key.Value, t))
				continue
			}
			s.walk(value, field.Type, at)
		}
		s.lines[at] = key.Line
	}
}

func (s *shape) wrongKind(node *yaml.Node, path, want string) {
	is := "it is a mapping"
	switch node.Kind {
	case yaml.ScalarNode:
		is = fmt.Sprintf("it is %q", node.Value)
	case yaml.SequenceNode:
		is = "it is a list"
	}
	s.add(path, "must be %s; %s", want, is)
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
