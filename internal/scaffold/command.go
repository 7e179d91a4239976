package scaffold

import "strings"

// Command is a process's command: a list, or a string for a shell.
type Command struct {
	List []string
	Text string
}

// IsZero reports whether there is no command.
func (c Command) IsZero() bool { return len(c.List) == 0 && c.Text == "" }

// String is the command in one line.
func (c Command) String() string {
	if len(c.List) > 0 {
		return strings.Join(c.List, " ")
	}
	return c.Text
}

// blank reports whether nothing would run.
func blank(c Command) bool {
	if len(c.List) > 0 {
		return c.List[0] == ""
	}
	return strings.TrimSpace(c.Text) == ""
}
