package config

import (
	"fmt"
	"slices"
	"strings"

	"berth/internal/fault"
)

// mistakes collects what is wrong with berth.yaml, each with its line.
type mistakes struct {
	lines map[string]int
	found []mistake
}

type mistake struct {
	line int
	text string
}

// add notes a mistake at a path like "environments.staging.hosts[0]". A path
// that is not in the file, as of a key left out, takes its parent's line. The
// path "" is the whole file.
func (m *mistakes) add(path, format string, arguments ...any) {
	line, text := 0, fmt.Sprintf(format, arguments...)
	if path != "" {
		text = path + ": " + text
	}
	for at := path; at != "" && line == 0; at = parent(at) {
		line = m.lines[at]
	}
	m.found = append(m.found, mistake{line, text})
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
