package backup

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// Whatever the dump, and in whatever pieces it comes: each row goes to one session,
// whole, and what is not a row to the first, in its order and after the rows before it.
func TestSharing(t *testing.T) {
	const head = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n\n"
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		var dump, others strings.Builder
		var rows []string
		text := func(text string) {
			dump.WriteString(text)
			others.WriteString(text)
		}
		text(head)
		for table := range random.IntN(5) {
			text(fmt.Sprintf("--\n-- Name: t%d; Type: TABLE; Schema: public; Owner: -\n--\n\nCREATE TABLE public.t%d (i int);\n\n", table, table))
		}
		for table := range random.IntN(5) {
			text(fmt.Sprintf("--\n-- Data for Name: t%d; Type: TABLE DATA; Schema: public; Owner: -\n--\n\nCOPY public.t%d (\"i\nj\") FROM stdin;\n", table, table))
			for row := range random.IntN(60) {
				line := fmt.Sprintf("%d\t%d\t%s\n", table, row, strings.Repeat("x", random.IntN(40)*random.IntN(5)))
				if random.IntN(9) == 0 {
					line = strings.Repeat(`\\.`, random.IntN(3)) + "\n"
				}
				dump.WriteString(line)
				rows = append(rows, line)
			}
			text("\\.\n\n\nSELECT pg_catalog.setval('public.s', 7, true);\n\n")
		}
		text("--\n-- PostgreSQL database dump complete\n--\n\n")

		var helped []byte
		passed := newScanner()
		s := &sharing{
			sql: &pieces{strings.NewReader(dump.String()), random}, passed: passed, block: make([]byte, 96+random.IntN(200)), from: random.IntN(300), turn: random.IntN(100),
			start: func(rows io.Reader) error {
				all, err := io.ReadAll(rows)
				helped = append(helped, all...)
				return err
			},
		}
		first, err := io.ReadAll(s)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if _, err := passed.finish(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		rest, inFirst := apart(string(first))
		if rest != others.String() {
			t.Errorf("seed %d: the first session gets\n%q\nwant\n%q", seed, rest, others.String())
		}
		statements, inSecond := apart(string(helped))
		const one = "SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\nCOPY public.t"
		if strings.Count(statements, one) != strings.Count(statements, "COPY") {
			t.Errorf("seed %d: the second session gets %q", seed, statements)
		}
		got := append(inFirst, inSecond...)
		slices.Sort(got)
		slices.Sort(rows)
		if !slices.Equal(got, rows) {
			t.Errorf("seed %d: the rows are %q, want %q", seed, got, rows)
		}
	}
}

// pieces reads any number of bytes at a time.
type pieces struct {
	io.Reader
	random *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	return p.Reader.Read(b[:1+p.random.IntN(len(b))])
}

// apart parts SQL from the rows in it.
func apart(sql string) (rest string, rows []string) {
	var b strings.Builder
	in := false
	for line := range strings.Lines(sql) {
		if in && line != "\\.\n" {
			rows = append(rows, line)
			continue
		}
		in = strings.HasSuffix(line, " FROM stdin;\n")
		b.WriteString(line)
	}
	return b.String(), rows
}

// What is wrong with the dump's source, or with the second session, is what a restore says.
func TestSharingFails(t *testing.T) {
	dump := "-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: -\n\nCOPY public.t (i) FROM stdin;\n" + strings.Repeat("1\n", 1000)
	s := &sharing{
		sql: io.MultiReader(strings.NewReader(dump), iotest.ErrReader(io.ErrNoProgress)), passed: newScanner(), block: make([]byte, 96), turn: 10,
		start: func(rows io.Reader) error { _, err := io.ReadAll(rows); return err },
	}
	if _, err := io.ReadAll(s); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
	refused := &refusal{said: "violates"}
	s = &sharing{
		sql: strings.NewReader(dump + "\\.\n"), passed: newScanner(), block: make([]byte, 96), turn: 10,
		start: func(io.Reader) error { return refused },
	}
	if _, err := io.ReadAll(s); err != refused {
		t.Errorf("got %v", err)
	}
}
