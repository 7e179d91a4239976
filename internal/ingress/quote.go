package ingress

import (
	"bytes"
	"strings"
)

// quote writes any text as one parameter of an NGINX directive. It is the only
// way that values reach a configuration.
//
// Inside double quotes NGINX's parser (ngx_conf_read_token) knows but two
// characters: the quote and the backslash. It leaves "$" alone; directives that
// expand variables do so later, which is why values for those must come from an
// allow-list without it.
func quote(text string) string {
	if text != "" && strings.IndexFunc(text, notPlain) < 0 {
		return text
	}
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			out.WriteByte('\\')
		}
		out.WriteByte(text[i])
	}
	out.WriteByte('"')
	return out.String()
}

func notPlain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:=*$+,@()", r)
}

// writer writes directives, one a line, indented by block.
type writer struct {
	bytes.Buffer
	depth int
}

func (w *writer) words(name string, parameters []string) {
	w.WriteString(strings.Repeat("    ", w.depth))
	w.WriteString(name)
	for _, parameter := range parameters {
		w.WriteByte(' ')
		w.WriteString(quote(parameter))
	}
}

// directive writes a simple directive.
func (w *writer) directive(name string, parameters ...string) {
	w.words(name, parameters)
	w.WriteString(";\n")
}

// block writes a directive with a body.
func (w *writer) block(name string, parameters []string, body func()) {
	w.words(name, parameters)
	w.WriteString(" {\n")
	w.depth++
	body()
	w.depth--
	w.WriteString(strings.Repeat("    ", w.depth))
	w.WriteString("}\n")
}
