package backup

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// scanner reads a plain dump as it passes and takes note of what is in it. It
// is an io.Writer that never fails; [scanner.finish] judges.
//
// pg_dump writes "-- Data for Name: …; Type: TABLE DATA; …", an empty comment,
// an empty line, "COPY name (columns) FROM stdin;", a line for each row, and
// "\." alone. A row never spans lines, as COPY escapes line ends; a quoted name
// may. Without that header a COPY is text, in the body of a function say.
type scanner struct {
	tables map[string]*counted
	large  Digest
	values Digest // of sequences
	schema *xxhash.Digest

	rest   []byte // the beginning of a line whose end has not come yet
	state  scanState
	copied []byte // the COPY statement so far
	table  string
	rows   *counted
	long   *xxhash.Digest // of a row whose beginning has been let go
	closed bool
}

type scanState int

const (
	inText   scanState = iota
	inHeader           // after "-- Data for Name:", before COPY
	inCopy             // in the COPY statement, whose names may hold line ends
	inRows
)

// counted is what a table's rows come to, and in how many sections they came.
type counted struct {
	Digest
	sections int
}

func newScanner() *scanner {
	return &scanner{tables: map[string]*counted{}, schema: xxhash.New()}
}

func (s *scanner) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		s.end(p[:end])
		p = p[end+1:]
	}
	s.keep(p)
	return n, nil
}

// finish returns what the dump holds, or an error if it was cut off.
func (s *scanner) finish() (Contents, error) {
	if s.state == inRows {
		return Contents{}, fmt.Errorf("the dump ends within table %s, after %d rows", s.table, s.rows.rows)
	}
	if !s.closed {
		return Contents{}, errors.New("the dump has no closing line: it was cut off")
	}
	tables, sections := map[string]Table{}, map[string]int{}
	for name, table := range s.tables {
		tables[name], sections[name] = table.Table(), table.sections
	}
	return Contents{Tables: tables, Sections: sections, LargeObjects: s.large.Table(), Sequences: s.values.Table(), Schema: fmt.Sprintf("%016x", s.schema.Sum64())}, nil
}

// end takes the end of a line.
func (s *scanner) end(p []byte) {
	switch {
	case s.long != nil:
		_, _ = s.long.Write(p) // never fails
		s.rows.rows++
		s.rows.sum += s.long.Sum64()
		s.long = nil
	case len(s.rest) > 0:
		s.rest = append(s.rest, p...)
		s.line(s.rest)
		s.rest = s.rest[:0]
	default:
		s.line(p)
	}
}

// keep takes what there is of a line whose end has not come yet. Of a long row only
// the checksum is kept.
func (s *scanner) keep(p []byte) {
	if s.long == nil && s.state == inRows && len(s.rest)+len(p) > longRow {
		s.long = xxhash.New()
		_, _ = s.long.Write(s.rest) // never fails
		s.rest = s.rest[:0]
	}
	if s.long != nil {
		_, _ = s.long.Write(p)
		return
	}
	s.rest = append(s.rest, p...)
}

// longRow is how much of a row is kept until its end comes: a field may have a
// gigabyte.
const longRow = 64 << 10

var (
	endOfRows  = []byte(`\.`)
	dataHeader = []byte("-- Data for Name: ")
	tableData  = []byte("; Type: TABLE DATA; ")
	copyBegins = []byte("COPY ")
	copyEnds   = []byte(" FROM stdin;")
	quoteMark  = []byte(`"`)
	largeBegin = []byte("SELECT pg_catalog.lo")
	setValue   = []byte("SELECT pg_catalog.setval(")
	closing    = []byte("-- PostgreSQL database dump complete")
	// The lines that differ between two dumps of one database.
	versions = [][]byte{[]byte("-- Dumped "), []byte(`\restrict `), []byte(`\unrestrict `)}
)

func (s *scanner) line(line []byte) {
	if s.state == inRows {
		if !bytes.Equal(line, endOfRows) {
			s.rows.Add(line)
			return
		}
		s.state = inText
		return
	}
	switch {
	case s.state == inCopy:
		s.copied = append(append(s.copied, '\n'), line...)
	case bytes.HasPrefix(line, largeBegin):
		s.large.Add(line)
		return
	case bytes.HasPrefix(line, setValue):
		s.values.Add(line)
		return
	case bytes.HasPrefix(line, dataHeader) && bytes.Contains(line, tableData):
		s.state = inHeader
	case s.state == inHeader && bytes.HasPrefix(line, copyBegins):
		s.state = inCopy
		s.copied = append(s.copied[:0], line...)
	case s.state == inHeader && len(line) > 0 && !bytes.HasPrefix(line, []byte("--")):
		s.state = inText
	}
	switch {
	case bytes.Equal(line, closing):
		s.closed = true
	case len(line) > 0 && !bytes.HasPrefix(line, []byte("--")) && !bytes.HasPrefix(line, versions[2]):
		s.closed = false // It was text in something else.
	}
	// Within a quoted name, whose quotes are not all there yet, that is a part of it.
	if s.state == inCopy && bytes.HasSuffix(line, copyEnds) && bytes.Count(s.copied, quoteMark)%2 == 0 {
		s.table = qualifiedName(string(s.copied[len(copyBegins):]))
		// Several partitions may come under the name of their root.
		if s.rows = s.tables[s.table]; s.rows == nil {
			s.rows = &counted{}
			s.tables[s.table] = s.rows
		}
		s.rows.sections++
		s.state = inRows
	}
	for _, prefix := range versions {
		if bytes.HasPrefix(line, prefix) {
			return
		}
	}
	_, _ = s.schema.Write(line) // never fails
	_, _ = s.schema.Write([]byte{'\n'})
}

// A Digest is a checksum of rows in any order.
type Digest struct {
	rows int64
	sum  uint64
}

// Add adds a row to the digest.
func (d *Digest) Add(row []byte) {
	d.rows++
	d.sum += xxhash.Sum64(row)
}

// Table returns what has been counted.
func (d Digest) Table() Table { return Table{d.rows, fmt.Sprintf("%016x", d.sum)} }

// qualifiedName reads the qualified name that follows COPY. Versions of
// PostgreSQL differ in which names they quote, so it is rewritten.
func qualifiedName(text string) string {
	schema, rest := identifier(text)
	table, _ := identifier(strings.TrimPrefix(rest, "."))
	return TableName(schema, table)
}

// identifier cuts one identifier, quoted or not, off the beginning of text.
func identifier(text string) (name, rest string) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ". ")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:]
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] == '"' {
			if !strings.HasPrefix(text[i+1:], `"`) {
				return b.String(), text[i+1:]
			}
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}

// TableName is how a table is called in manifests, which are UTF-8: bytes that are not
// are written like \xe4.
func TableName(schema, table string) string {
	quote := func(name string) string {
		if !utf8.ValidString(name) {
			return strconv.Quote(name)
		}
		if plainName.MatchString(name) {
			return name
		}
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return quote(schema) + "." + quote(table)
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
