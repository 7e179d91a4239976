package rehearsal

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"berth/internal/logs"
)

const (
	// mostLines are read for requests, mostRequests are asked for, and of those that
	// differ in numbers alone mostAlike.
	mostLines, mostRequests, mostAlike = 200_000, 40, 3
	longestPath                        = 500
)

// request is one of the environment's own: the path of a GET and nothing else of it.
type request struct {
	path  string
	times int
}

// requests collects those of log lines. Queries are left out, as secrets may be in them.
type requests struct {
	lines int
	times map[string]int
}

// The names of the members of a line in JSON that tell of a request.
var (
	methodNames = []string{"method", "request_method", "http_method", "verb", "http.method", "http.request.method"}
	pathNames   = []string{"path", "request_path", "uri", "request_uri", "url", "url.path", "http.target", "http.path"}
)

// inText is a request in a line that is not JSON: as servers log it that follow NGINX and
// Apache, and as Rails, Django and morgan do.
var inText = regexp.MustCompile(`(?:^|[\s"'\[(])GET "?((?:https?://[^/\s"]+)?/[^\s"]*)(?:"| HTTP/|\s|$)`)

// add takes a line and reports whether more are wanted.
func (r *requests) add(l logs.Line) bool {
	r.lines++
	if path := pathOf(l); path != "" {
		r.times[path]++
	}
	return r.lines < mostLines
}

// pathOf is the path of the GET request that a line tells of, or "".
func pathOf(l logs.Line) string {
	method, path := "", ""
	var members func(prefix string, fields logs.Fields)
	members = func(prefix string, fields logs.Fields) {
		for _, f := range fields {
			name := strings.ToLower(prefix + f.Name)
			var text string
			var inner logs.Fields
			switch {
			case json.Unmarshal(f.Value, &text) == nil:
				if slices.Contains(methodNames, name) || slices.Contains(methodNames, strings.ToLower(f.Name)) {
					method = text
				}
				if path == "" && (slices.Contains(pathNames, name) || slices.Contains(pathNames, strings.ToLower(f.Name))) {
					path = text
				}
			case prefix == "" && len(f.Value) > 0 && f.Value[0] == '{' && json.Unmarshal(f.Value, &inner) == nil:
				members(f.Name+".", inner)
			}
		}
	}
	members("", l.Fields)
	if method == "" || path == "" {
		if m := inText.FindStringSubmatch(l.Message); m != nil {
			method, path = "GET", m[1]
		}
	}
	if !strings.EqualFold(method, "GET") {
		return ""
	}
	return cleaned(path)
}

// cleaned is a path without host, query and fragment; "" for one that cannot be asked for.
func cleaned(path string) string {
	if _, rest, absolute := strings.Cut(path, "://"); absolute {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	path, _, _ = strings.Cut(path, ";")
	odd := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar }
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > longestPath ||
		strings.ContainsFunc(path, odd) || strings.Contains(path, "[redacted]") {
		return ""
	}
	if _, err := url.ParseRequestURI(path); err != nil {
		return ""
	}
	return path
}

// chosen are the requests to ask, the most frequent first.
func (r *requests) chosen() []request {
	all := slices.SortedFunc(maps.Keys(r.times), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.times[b], r.times[a]), strings.Compare(a, b))
	})
	var chosen []request
	alike := map[string]int{}
	for _, path := range all {
		shape := shapeOf(path)
		if alike[shape]++; alike[shape] > mostAlike {
			continue
		}
		if chosen = append(chosen, request{path, r.times[path]}); len(chosen) == mostRequests {
			break
		}
	}
	return chosen
}

// shapeOf is what paths have in common that one route answers, mostly.
func shapeOf(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.ContainsFunc(part, unicode.IsDigit) || len(part) > 24 {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}
