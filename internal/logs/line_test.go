package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestALineIsTheSameLiveAndArchived compares what the log agent made of
// testdata/0.log with what Parse makes of it. The agent joins traces and the parts
// of lines, takes secrets out, and writes JSON without blanks.
func TestALineIsTheSameLiveAndArchived(t *testing.T) {
	object, err := os.ReadFile("testdata/object.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	fromArchive := map[string]Line{}
	for l, err := range unpack(object, Query{}.needles(), all) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Container == "realworld" {
			fromArchive[l.Time.Format("2006-01-02T15:04:05.000000000Z")] = l
		}
	}
	file, err := os.ReadFile("testdata/0.log")
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for text := range strings.Lines(string(file)) {
		stamp, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		_, rest, _ = strings.Cut(rest, " ")
		tag, rest, _ := strings.Cut(rest, " ")
		want, there := fromArchive[stamp]
		if !there || tag == "P" || strings.HasPrefix(rest, "panic") {
			continue
		}
		got := want
		got.Level, got.Message, got.Fields = Parse(rest)
		if diff := cmp.Diff(want.Text(), strings.NewReplacer(`, "`, `,"`, `": `, `":`, ", ", ",").Replace(got.Text())); diff != "" && !strings.HasPrefix(got.Message, "{") {
			t.Error(diff)
		}
		if got.Level != want.Level || len(got.Fields) != len(want.Fields) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		same++
	}
	if same != 7 {
		t.Errorf("%d lines compared", same)
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, level, message, fields string }{
		{`{"level":"INFO","msg":"m","a":1}`, "INFO", "m", `{"a":1}`},
		{`{"severity":"warning","message":"m"}`, "WARNING", "m", `{}`},
		{`{"lvl":50,"msg":"m","msg":"again"}`, "ERROR", "m", `{"msg":"again"}`},
		{`{"level":"INFO+2","msg":"m"}`, "INFO+2", "m", `{}`},
		{`{"level":"odd","msg":7}`, "", `{"level":"odd","msg":7}`, `{"level":"odd","msg":7}`},
		{`{"msg":null}`, "", `{"msg":null}`, `{"msg":null}`},
		{`{"msg":"half`, "", `{"msg":"half`, `{}`},
		{`{"msg":"m"} more`, "", `{"msg":"m"} more`, `{}`},
		{`[1]`, "", `[1]`, `{}`},
		{"", "", "", `{}`},
		{"bad \xff", "", "bad \uFFFD", `{}`},
		{"2026-01-01 UTC [7] ERROR:  no", "ERROR", "2026-01-01 UTC [7] ERROR:  no", `{}`},
		{"2026/01/01 [warn] 7#7: no", "WARN", "2026/01/01 [warn] 7#7: no", `{}`},
		{`ts=1 level="error" x`, "ERROR", `ts=1 level="error" x`, `{}`},
		{"an error in small letters", "", "an error in small letters", `{}`},
		{"panic: x", "FATAL", "panic: x", `{}`},
		{"Traceback (most recent call last):", "ERROR", "Traceback (most recent call last):", `{}`},
		{strings.Repeat("x ", 60) + "ERROR", "", strings.Repeat("x ", 60) + "ERROR", `{}`},
	} {
		level, message, fields := Parse(test.text)
		encoded, err := json.Marshal(fields)
		if err != nil || level != test.level || message != test.message || string(encoded) != test.fields {
			t.Errorf("%s: got %q, %q, %s, %v", test.text, level, message, encoded, err)
		}
	}
}

// TestLinesThatTwoParsersTookApart has what the agent and the reader once read each
// in its own way. The archive's line is what package logline makes of it.
func TestLinesThatTwoParsersTookApart(t *testing.T) {
	for text, want := range map[string]string{
		`{"level":"error","msg":"division failed","value":NaN}`: `ERROR division failed value=NaN`,
		`{"level":"error","msg":"x","value":Infinity}`:          `{"level":"error","msg":"x","value":Infinity}`,
		`{"level":"error","msg":"x","n":01}`:                    `ERROR x n=01`,
		`{"level":"error","msg":"x"} trailing`:                  `{"level":"error","msg":"x"} trailing`,
		`{"level":30.0,"msg":"x"}`:                              `INFO  x`,
		"{\"level\":\"error\",\"msg\":\"tab\tinside\"}":         "ERROR tab\tinside",
		`{"level":"information+1","msg":"x"}`:                   `INFORMATION+1 x`,
		`{"level":"error","msg":"x","a":{"b":1,}}`:              `{"level":"error","msg":"x","a":{"b":1,}}`,
		`{"level":"error","msg":null,"a":1}`:                    `{"level":"error","msg":null,"a":1}`,
		`{"level":"error","level":"info","msg":"x","msg":"y"}`:  `ERROR x level=info msg=y`,
		`{"\u006cevel":"error","\u006dsg":"x"}`:                 `ERROR x`,
		"plain\r":                                               "plain\r",
		`{"@t":"x","@mt":"boom","@l":"Error"}`:                  `ERROR boom @t=x`,
	} {
		live := Line{Time: noon, Pod: "shop-a", Container: "web", Node: "node-1"}
		live.Level, live.Message, live.Fields = Parse(text)
		for kept, err := range unpack(archived(live), Query{}.needles(), all) {
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(live.Text(), kept.Text()); diff != "" || live.Level != kept.Level {
				t.Errorf("%s is live %q and archived %q", text, live.Text(), kept.Text())
			}
		}
		if got := live.Text(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`{"time":"x","level":"INFO","msg":"m","b":1,"a":"x","c":"x y","d":"","e":"=","f":null,"g":{"x":[1]}}`: `INFO  m b=1 a=x c="x y" d="" e="=" f=null g={"x":[1]}`,
		`{"level":"ERROR","msg":"m","a":"\u003cb\u003e \n","b":"\u003cb\u003e"}`:                              `ERROR m a="<b> \n" b=<b>`,
		`{"msg":"m"}`:            "m",
		`{"msg":"{","x":1}`:      "{ x=1",
		`{"x":1}`:                `{"x":1}`,
		`  plain `:               `  plain `,
		`ERROR: plain`:           `ERROR: plain`,
		`{"level":20,"msg":"m"}`: "DEBUG m",

		`{"level":"warning","msg":"m"}`:           "WARNING m",
		`{"level":"error","msg":"ERROR: m"}`:      "ERROR: m",
		`{"msg":"m","a":"\b\f\n\u001b\u2028\\b"}`: `m a="\u0008\u000c\n\u001b` + "\u2028" + `\\b"`,
	} {
		var l Line
		l.Level, l.Message, l.Fields = Parse(text)
		if got := l.Text(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestMergeGoesOnAfterAnError(t *testing.T) {
	broken := errors.New("broken")
	log := func(steps ...any) iter.Seq2[Line, error] {
		return func(yield func(Line, error) bool) {
			for _, step := range steps {
				err, _ := step.(error)
				seconds, _ := step.(int)
				if !yield(Line{Time: time.Unix(int64(seconds), 0)}, err) {
					return
				}
			}
		}
	}
	for enough := range 8 {
		var got []any
		for l, err := range Merge(log(1, broken, 4), log(), log(2, 3, broken), log(broken)) {
			if len(got) == enough {
				break
			}
			if err != nil {
				got = append(got, err)
			} else {
				got = append(got, int(l.Time.Unix()))
			}
		}
		if want := []any{broken, 1, broken, 2, 3, broken, 4}[:min(enough, 7)]; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestHeld(t *testing.T) {
	var none Held
	if none.Has(Line{}) || !none.Oldest().IsZero() {
		t.Error("something is held by nothing")
	}
	h := Held{{"a", "web"}: noon, {"b", "web"}: noon.Add(-1)}
	for l, want := range map[*Line]bool{
		{Pod: "a", Container: "web", Time: noon}:         true,
		{Pod: "a", Container: "web", Time: noon.Add(-1)}: false,
		{Pod: "a", Container: "web2", Time: noon}:        false,
	} {
		if h.Has(*l) != want {
			t.Errorf("%+v: want %t", l, want)
		}
	}
	if !h.Oldest().Equal(noon.Add(-1)) {
		t.Errorf("oldest is %s", h.Oldest())
	}
}

// FuzzLine looks for a text that makes a line go wrong: it stays one object in
// JSON, which says the same again.
func FuzzLine(f *testing.F) {
	for _, text := range []string{
		`{"level":"INFO","msg":"m","a":1,"b":{"c":[null]}}`, "panic: \x1b[2J", `{"a":1,"a":2}`, `{"":""}`, "{\"\xff\":\"\xff\"}",
		`{"msg":"\ud800"}`, `{"a":"\\"}`, `{"a":"\u2028"}`, "level=", "<", "[ERROR]", `{"level":1e1}`, `{"msg":"m","b":{"&":"<"}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l, back Line
		l.Level, l.Message, l.Fields = Parse(text)
		var encoded bytes.Buffer
		encoder := json.NewEncoder(&encoded)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(l); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(encoded.Bytes(), &back); err != nil {
			t.Fatalf("%s: %v", encoded.Bytes(), err)
		}
		if back.Text() != l.Text() {
			t.Errorf("%q became %q", l.Text(), back.Text())
		}
	})
}

// FuzzFields looks for an object whose members become others.
func FuzzFields(f *testing.F) {
	for _, text := range []string{
		"{}", " {\n} ", `{"a":1 , "b" : [ {"c":"}\\\",:"} ] ,"a":2}`, `{"":"","\\":"\\\\"}`, `{"a":{"b":{}},"c":[[]]}`, `{"\u0061":-1e+300,"n":null}`,
		"null", "[]", `"{"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var fields Fields
		var want, got map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &want) != nil || want == nil {
			if json.Unmarshal([]byte(text), &fields) == nil {
				t.Errorf("%s is no object, and became %q", text, fields)
			}
			return
		}
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatal(err)
		}
		again, err := fields.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// all wants every line.
func all(Line, origin) bool { return true }

// FuzzDecode looks for an object that makes reading go wrong, or a line of it that
// cannot be written.
func FuzzDecode(f *testing.F) {
	object, err := os.ReadFile("testdata/object.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	f.Add(compressed(f, object))
	for _, text := range []string{
		"", "\n", `{}`, `{"dt":null}`, `{"dt":"9999-12-31T23:59:59-23:59","message":null}`, `{"dt":"2026-08-20T10:00:07.1Z"}` + "\n" + `{"dt":`,
		`{"dt":"2026-08-20T10:00:07+02:00","level":"info+\u0000","fields":{"":9007199254740993,"":18446744073709551615,"a":1e999,"\ud800":"\ud800"}}`,
		`{"dt":"2026-08-20T10:00:07Z","fields":null}`, `{"dt":"2026-08-20T10:00:07Z","fields":[]}`, `{"dt":"2026-08-20T10:00:07Z","context":{"kubernetes":[]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for l, err := range unpack(data, Query{}.needles(), all) {
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Error(err)
				}
				continue
			}
			if _, err := json.Marshal(l); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzNeedles looks for a line that matches and has none of the needles.
func FuzzNeedles(f *testing.F) {
	f.Add("request", "a request")
	f.Add("x=status", `{"msg":"m","x":"status"}`)
	f.Add(`nb`, `{"msg":"m","x":"a\nbcdefg"}`)
	f.Add(`bcdefg`, `{"msg":"m","x":"a\bcdefg"}`)
	f.Add(`u2028a`, `{"msg":"m","x":"\u2028a"}`)
	f.Add("ERROR", `{"msg":"m","level":"error"}`)
	f.Add("DEBUG-4", `{"msg":"m","level":"Debug-4"}`)
	f.Add("WARN", "[warn] m")
	f.Add("null", `{"msg":"m","x":null}`)
	f.Fuzz(func(t *testing.T, pattern, text string) {
		grep, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		q := Query{Grep: grep}
		l := Line{Time: noon}
		l.Level, l.Message, l.Fields = Parse(text)
		found := func(q Query, needles [][]byte) (lines int) {
			for l, err := range unpack(archived(l), needles, all) {
				if err != nil {
					t.Fatal(err)
				}
				if q.Takes(l) {
					lines++
				}
			}
			return lines
		}
		if found(Query{}, [][]byte{{}}) != 1 {
			t.Fatalf("%s is not found", archived(l))
		}
		if found(q, q.needles()) != found(q, [][]byte{{}}) {
			t.Errorf("%q is not in %s, which matches %q", q.needles(), archived(l), pattern)
		}
	})
}
