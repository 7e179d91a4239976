package backup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dump = `--
-- PostgreSQL database dump
--

\restrict random

-- Dumped from database version 17.5

CREATE TABLE public.article (id integer, title text);

--
-- Data for Name: article; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.article (id, title) FROM stdin;
1	one
2	-- PostgreSQL database dump complete
\.

--
-- Data for Name: a b; Type: TABLE DATA; Schema: Other; Owner: app
--

COPY "Other"."a
b ""FROM stdin;""" ("x y") FROM stdin;
\.

CREATE FUNCTION f() AS $$
COPY public.f (id) FROM stdin;
1
\.
$$;
SELECT pg_catalog.lo_create('16400');
SELECT pg_catalog.setval('public.article_id_seq', 42, true);

--
-- PostgreSQL database dump complete
--

\unrestrict random
`

func scanText(t testing.TB, text string, chunk int) (Contents, error) {
	t.Helper()
	s := newScanner()
	for len(text) > 0 {
		n := min(chunk, len(text))
		if _, err := s.Write([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	return s.finish()
}

func TestScanner(t *testing.T) {
	got, err := scanText(t, dump, len(dump))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for name, table := range got.Tables {
		rows[name] = table.Rows
	}
	want := map[string]int64{"public.article": 2, "\"Other\".\"a\nb \"\"FROM stdin;\"\"\"": 0}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	// Names may be what ends the statement, at the end of a line.
	got2, err := scanText(t, strings.Replace(dump, `COPY public.article (id, title) FROM stdin;`, "COPY public.\"y FROM stdin;\n\" (\"b FROM stdin;\n\"\" FROM stdin;\n\") FROM stdin;", 1), 7)
	if table := got2.Tables["public.\"y FROM stdin;\n\""]; err != nil || table.Rows != 2 || len(got2.Tables) != 2 {
		t.Errorf("of odd names there are %+v, %v", got2.Tables, err)
	}
	if got.LargeObjects.Rows != 1 || got.Sequences.Rows != 1 {
		t.Errorf("%d large objects, %d sequences", got.LargeObjects.Rows, got.Sequences.Rows)
	}
}

// Two dumps of one database differ in versions and in psql's key, and may
// differ in the order of the rows; anything else shows.
func TestScannerCompares(t *testing.T) {
	want, err := scanText(t, dump, len(dump))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, new         string
		sameData, sameDD bool
	}{
		{"17.5", "17.6", true, true},
		{"random", "other", true, true},
		{"1\tone\n2\t-- PostgreSQL database dump complete\n", "2\t-- PostgreSQL database dump complete\n1\tone\n", true, true},
		{"1\tone", "1\tonE", false, true},
		{"1\tone\n", "", false, true},
		{"16400", "16401", false, true},
		{"42, true", "42, false", false, true},
		{"title text", "title varchar", true, false},
	} {
		got, err := scanText(t, strings.ReplaceAll(dump, test.old, test.new), len(dump))
		if err != nil {
			t.Fatal(err)
		}
		if same := want.differences(got) == nil; same != test.sameData {
			t.Errorf("%q for %q: the same data: %v", test.new, test.old, same)
		}
		if same := want.Schema == got.Schema; same != test.sameDD {
			t.Errorf("%q for %q: the same schema: %v", test.new, test.old, same)
		}
	}
}

// Wherever a dump is cut off before its closing line, it is not whole.
func TestScannerSeesEveryCut(t *testing.T) {
	closing := strings.LastIndex(dump, "-- PostgreSQL database dump complete") + len("-- PostgreSQL database dump complete")
	for end := range closing {
		if _, err := scanText(t, dump[:end], end+1); err == nil {
			t.Errorf("a dump of %d bytes passes for whole: …%q", end, dump[max(0, end-20):end])
		}
	}
}

// Of a row of many megabytes only its checksum is kept, which is the same.
func TestScannerOfLongRows(t *testing.T) {
	row := "\\x" + strings.Repeat("00ff", 4<<20)
	text := strings.Replace(dump, "\n\\.\n", "\n"+row+"\n\\.\n", 1)
	want, err := scanText(t, text, len(text))
	if err != nil {
		t.Fatal(err)
	}
	s := newScanner()
	for rest := []byte(text); len(rest) > 0; {
		n := min(len(rest), 32<<10)
		if _, err := s.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
		if cap(s.rest) > 4*longRow {
			t.Fatalf("%d bytes of a row are kept", cap(s.rest))
		}
	}
	got, err := s.finish()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// However the stream is cut into pieces, the scanner reads the same.
func FuzzScanner(f *testing.F) {
	f.Add(dump, 1)
	f.Add(dump, 7)
	f.Add("COPY", 2)
	f.Add("-- Data for Name: ; Type: TABLE DATA; \nCOPY \"", 3)
	f.Fuzz(func(t *testing.T, text string, chunk int) {
		if chunk < 1 {
			return
		}
		whole, wholeErr := scanText(t, text, len(text))
		pieces, piecesErr := scanText(t, text, chunk)
		if (wholeErr == nil) != (piecesErr == nil) {
			t.Fatalf("in one piece: %v; in pieces of %d: %v", wholeErr, chunk, piecesErr)
		}
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Error(diff)
		}
	})
}
