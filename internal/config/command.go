package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Command replaces the ENTRYPOINT and CMD of a container's image. A list is run as
// it is. A string is run by a shell, which the image must have.
type Command []string

// UnmarshalYAML makes a shell's command of a text.
func (c *Command) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*c = Command{"/bin/sh", "-c", node.Value}
		return nil
	}
	return node.Decode((*[]string)(c))
}

func (Command) scalar(node *yaml.Node) string {
	if node.Tag == "!!str" {
		return ""
	}
	return `a list like ["gunicorn", "app:app"], or a text that a shell runs`
}

func checkCommand(m *mistakes, at string, command Command) {
	for i, word := range command {
		if i == 0 && strings.ContainsAny(word, " \t\n") {
			m.add(at, "%q is one word of a list, and no program has blanks in its name: write the command as a text, or each word by itself", word)
			return
		}
		if IsShellWord(word) {
			m.add(at, "%q is for a shell, and a list is run without one: write the command as a text", word)
			return
		}
	}
	switch {
	case len(command) == 0 || command[0] == "":
		m.add(at, `must be a list like ["python", "worker.py"], or a text that a shell runs`)
	case len(command) == 3 && command[1] == "-c" && strings.TrimSpace(command[2]) == "":
		m.add(at, "must not be empty")
	}
}

// IsShellWord reports whether a word of a command means something to a shell alone.
func IsShellWord(word string) bool {
	return slices.Contains([]string{"&&", "||", "|", ";", ">", ">>", "2>&1"}, word)
}
