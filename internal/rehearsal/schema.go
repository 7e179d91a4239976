package rehearsal

import (
	"regexp"
	"slices"
	"strings"
)

// Changes are what a schema has gained and lost: tables, columns, indexes and all else
// that a dump names.
type Changes struct {
	Gained []string `json:"gained,omitempty"`
	Lost   []string `json:"lost,omitempty"`
	// Changed are those that are made by another statement than before.
	Changed []string `json:"changed,omitempty"`
}

// gone are those of the lost that queries can name.
func (c Changes) gone() (names []string) {
	for _, name := range c.Lost {
		switch kind, _, _ := strings.Cut(name, " "); kind {
		case "table", "column", "view", "materialized", "function", "procedure", "aggregate", "sequence", "type", "domain":
			if !strings.HasPrefix(name, "table attach ") { // a partition that is a table by itself now
				names = append(names, name)
			}
		}
	}
	return names
}

// object begins the statements of one object in a dump of pg_dump.
var object = regexp.MustCompile(`^-- Name: (.*); Type: (.*); Schema: (.*); Owner: `)

// compareSchemas says how two dumps of pg_dump --schema-only differ.
func compareSchemas(before, after string) Changes {
	was, is := objectsOf(before), objectsOf(after)
	var c Changes
	for name, text := range was {
		switch now, there := is[name]; {
		case !there:
			c.Lost = append(c.Lost, name)
		case now == text:
		case strings.HasPrefix(name, "table "):
			c.columns(strings.TrimPrefix(name, "table "), text, now)
		default:
			c.Changed = append(c.Changed, name)
		}
	}
	for name := range is {
		if _, there := was[name]; !there {
			c.Gained = append(c.Gained, name)
		}
	}
	for _, all := range [][]string{c.Gained, c.Lost, c.Changed} {
		slices.Sort(all)
	}
	return c
}

// columns compares the lines of two CREATE TABLEs.
func (c *Changes) columns(table, before, after string) {
	was, is := columnsOf(before), columnsOf(after)
	var gained, lost []string
	for name, text := range was {
		switch now, there := is[name]; {
		case !there:
			lost = append(lost, part(table, name))
		case now != text:
			c.Changed = append(c.Changed, part(table, name)+": "+text+" -> "+now)
		}
	}
	for name, text := range is {
		if _, there := was[name]; !there {
			gained = append(gained, part(table, name)+": "+text)
		}
	}
	changed := slices.ContainsFunc(c.Changed, func(text string) bool {
		return strings.HasPrefix(text, "column "+table+".") || strings.HasPrefix(text, constraint+table+".")
	})
	if len(gained)+len(lost) == 0 && len(was) == len(is) && !changed {
		c.Changed = append(c.Changed, "table "+table)
	}
	c.Gained, c.Lost = append(c.Gained, gained...), append(c.Lost, lost...)
}

// constraint begins the names of those among a table's columns that have one.
const constraint = "constraint "

// part is what a column or a constraint of a table is called.
func part(table, name string) string {
	if of, named := strings.CutPrefix(name, constraint); named {
		return constraint + table + "." + of
	}
	return "column " + table + "." + name
}

// columnsOf are the columns and constraints of a CREATE TABLE by their names.
func columnsOf(statement string) map[string]string {
	columns := map[string]string{}
	for _, item := range itemsOf(statement) {
		name, rest, _ := strings.Cut(item, " ")
		if quoted := strings.TrimPrefix(item, `"`); quoted != item {
			name, rest, _ = strings.Cut(quoted, `" `)
		}
		if strings.HasPrefix(item, "CONSTRAINT ") {
			name, rest, _ = strings.Cut(rest, " ")
			name = constraint + name
		}
		if _, taken := columns[name]; taken { // as UNIQUE may be, twice
			name, rest = item, ""
		}
		columns[name] = rest
	}
	return columns
}

// itemsOf are what stands between the commas of a statement's first parentheses.
func itemsOf(statement string) (items []string) {
	_, body, _ := strings.Cut(statement, "(")
	depth, from := 0, 0
	var quote byte
	item := func(end int) {
		if text := strings.Join(strings.Fields(body[from:end]), " "); text != "" {
			items = append(items, text)
		}
		from = end + 1
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ')':
			item(i)
			return items
		case c == ',' && depth == 0:
			item(i)
		}
	}
	return items
}

// objectsOf are the statements of a dump by what they make: "table public.notes". The
// schema public goes without saying.
func objectsOf(dump string) map[string]string {
	objects := map[string]string{}
	name := ""
	var text strings.Builder
	end := func() {
		if name != "" {
			objects[name] += strings.TrimSpace(text.String())
		}
		text.Reset()
	}
	for line := range strings.Lines(dump) {
		if m := object.FindStringSubmatch(line); m != nil {
			end()
			kind, of := strings.ToLower(m[2]), m[1]
			if m[3] != "-" && m[3] != "public" && m[3] != "main" {
				of = m[3] + "." + of
			}
			name = kind + " " + of
			continue
		}
		// Settings of the session, comments, and the token of a dump that is its own.
		if strings.HasPrefix(line, "--") || strings.HasPrefix(line, "SET ") || strings.HasPrefix(line, `\`) {
			continue
		}
		text.WriteString(line)
	}
	end()
	return objects
}
