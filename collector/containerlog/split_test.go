package containerlog

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	at    = "2026-08-20T10:00:00.123456789Z"
	later = "2026-08-20T10:00:01.223456789Z"
)

// file makes a log file of lines such as "stdout F text".
func file(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(at + " " + line + "\n")
	}
	return b.String()
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		name string
		file string
		// want are the texts of the records, with their streams; what is not
		// given away yet is not among them.
		want []string
	}{
		{"an object needs nothing after it", file(`stdout F {"a":1}`), []string{`stdout {"a":1}`}},
		{"plain text needs nothing after it", file("stdout F a"), []string{"stdout a"}},
		{"what may begin a trace waits for what follows", file("stdout F Error: a"), nil},
		{"plain text", file("stdout F a", "stdout F b", `stdout F {"c":1}`), []string{"stdout a", "stdout b", `stdout {"c":1}`}},
		{"a line of two streams each", file("stdout F a", "stderr F b", "stdout F c", "stderr F {}"), []string{"stdout a", "stderr b", "stdout c", "stderr {}"}},
		{"blanks stay", file("stdout F   a  ", "stdout F {}"), []string{"stdout   a  ", "stdout {}"}},
		{"an empty line", file("stdout F ", "stdout F", "stdout F {}"), []string{"stdout ", "stdout ", "stdout {}"}},
		{"parts", file("stdout P a ", "stdout P  b", "stdout F c", "stdout F {}"), []string{"stdout a  bc", "stdout {}"}},
		{"parts of an object", file(`stdout P {"a":`, `stdout F 1}`), []string{`stdout {"a":1}`}},
		{"parts without an end wait", file(`stdout P {"a":1}`), nil},
		{"another stream between parts", file("stdout P a", "stderr F x", "stdout P b", "stderr P y", "stdout F c", "stderr F z", "stdout F {}"),
			[]string{"stdout abc", "stderr x", "stderr yz", "stdout {}"}},
		{"tags", file("stdout F:x a", "stdout P:y:z b", "stdout F c", "stdout F {}"), []string{"stdout a", "stdout bc", "stdout {}"}},
		{"not the runtime's", "what is this\n" + file("stdout F a", "stdout X b", "stdout F {}"), []string{"stdout what is this", "stdout a", "stdout " + at + " stdout X b", "stdout {}"}},

		{"Go", file("stderr F panic: no", "stderr F ", "stderr F goroutine 1 [running]:", "stderr F main.f(0x1)", "stderr F \t/a.go:8 +0x1d",
			"stderr F main.main()", "stderr F \t/a.go:3 +0x1", "stderr F exit status 2", "stderr F next", "stderr F {}"),
			[]string{"stderr panic: no\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:8 +0x1d\nmain.main()\n\t/a.go:3 +0x1\nexit status 2", "stderr next", "stderr {}"}},
		{"Go, in a server", file("stderr F 2026/08/20 http: panic serving 1.2.3.4:5: no", "stderr F goroutine 34 [running]:", "stderr F net/http.(*conn).serve.func1()",
			"stderr F \t/server.go:1 +0xbe", "stderr F created by net/http.(*Server).Serve in goroutine 1", "stderr F \t/server.go:9 +0x4b", "stderr F {}"),
			[]string{"stderr 2026/08/20 http: panic serving 1.2.3.4:5: no\ngoroutine 34 [running]:\nnet/http.(*conn).serve.func1()\n\t/server.go:1 +0xbe\ncreated by net/http.(*Server).Serve in goroutine 1\n\t/server.go:9 +0x4b", "stderr {}"}},
		{"Java", file("stdout F Exception in thread \"main\" a.B: no", "stdout F \tat a.B.c(B.java:1)", "stdout F Caused by: a.C", "stdout F \t... 1 more", "stdout F {}"),
			[]string{"stdout Exception in thread \"main\" a.B: no\n\tat a.B.c(B.java:1)\nCaused by: a.C\n\t... 1 more", "stdout {}"}},
		{"Python", file("stderr F Traceback (most recent call last):", "stderr F   File \"a.py\", line 1", "stderr F KeyError: 'k'", "stderr F next", "stderr F {}"),
			[]string{"stderr Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'k'", "stderr next", "stderr {}"}},
		{"indented lines", file("stdout F a", "stdout F   b", "stdout F \tc", "stdout F   2026-08-20 ERROR d"), []string{"stdout a", "stdout   b", "stdout \tc", "stdout   2026-08-20 ERROR d"}},
		{"indented lines after an error", file("stdout F Error: a", "stdout F   b", "stdout F {}"), []string{"stdout Error: a", "stdout   b", "stdout {}"}},
		{"Java, in a log", file("stdout F 2026-08-20 ERROR a.B - no", "stdout F java.lang.IllegalStateException: no", "stdout F \tat a.B.c(B.java:1)", "stdout F \tSuppressed: a.C", "stdout F \t\tat a.D", "stdout F 2026-08-20 INFO next", "stdout F {}"),
			[]string{"stdout 2026-08-20 ERROR a.B - no", "stdout java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\tSuppressed: a.C\n\t\tat a.D", "stdout 2026-08-20 INFO next", "stdout {}"}},
		{"JavaScript", file("stderr F failed TypeError: no", "stderr F     at f (/a.js:1:2)", "stderr F     at g (/a.js:3:4) {", "stderr F   code: 'E_NO',", "stderr F }", "stderr F next"),
			[]string{"stderr failed TypeError: no\n    at f (/a.js:1:2)\n    at g (/a.js:3:4) {\n  code: 'E_NO',\n}", "stderr next"}},
		{"Node, uncaught", file("stderr F /app/a.js:3", "stderr F     throw new Error('no');", "stderr F     ^", "stderr F ", "stderr F Error: no", "stderr F     at f (/app/a.js:3:9)", "stderr F ", "stderr F Node.js v22.1.0", "stderr F next"),
			[]string{"stderr /app/a.js:3\n    throw new Error('no');\n    ^\n\nError: no\n    at f (/app/a.js:3:9)\n\nNode.js v22.1.0", "stderr next"}},
		{"Node, a rejection", file("stderr F node:internal/process/promises:288", "stderr F             triggerUncaughtException(err, true);", "stderr F             ^", "stderr F ", "stderr F [UnhandledPromiseRejection: no] {", "stderr F   code: 'X'", "stderr F }", "stderr F ", "stderr F Node.js v22.1.0", "stderr F {}"),
			[]string{"stderr node:internal/process/promises:288\n            triggerUncaughtException(err, true);\n            ^\n\n[UnhandledPromiseRejection: no] {\n  code: 'X'\n}\n\nNode.js v22.1.0", "stderr {}"}},
		{"Python, SyntaxError", file("stderr F   File \"a.py\", line 1", "stderr F     x = = 1", "stderr F         ^", "stderr F SyntaxError: invalid syntax", "stderr F next", "stderr F {}"),
			[]string{"stderr   File \"a.py\", line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax", "stderr next", "stderr {}"}},
		{"Python, SQLAlchemy", file("stderr F Traceback (most recent call last):", "stderr F   File \"a.py\", line 1", "stderr F sqlalchemy.exc.IntegrityError: (UniqueViolation) no", "stderr F DETAIL:  Key (a)=(b) already exists.", "stderr F ",
			"stderr F [SQL: INSERT", "stderr F INTO a]", "stderr F [parameters: {'a': 1}]", "stderr F (Background on this error at: https://sqlalche.me/e/20/gkpj)", "stderr F next", "stderr F {}"),
			[]string{"stderr Traceback (most recent call last):\n  File \"a.py\", line 1\nsqlalchemy.exc.IntegrityError: (UniqueViolation) no\nDETAIL:  Key (a)=(b) already exists.\n\n[SQL: INSERT\nINTO a]\n[parameters: {'a': 1}]\n(Background on this error at: https://sqlalche.me/e/20/gkpj)", "stderr next", "stderr {}"}},
		{"Ruby", file("stderr F a.rb:1:in 'f': no (RuntimeError)", "stderr F \tfrom a.rb:3:in '<main>'", "stderr F next"), []string{"stderr a.rb:1:in 'f': no (RuntimeError)\n\tfrom a.rb:3:in '<main>'", "stderr next"}},
		{"a private key", file("stdout F -----BEGIN RSA PRIVATE KEY-----", "stdout F MIIEvQ==", "stdout F -----END RSA PRIVATE KEY-----", "stdout F next"), []string{"stdout -----BEGIN RSA PRIVATE KEY-----\nMIIEvQ==\n-----END RSA PRIVATE KEY-----", "stdout next"}},
		{"a stream that does not end", file("stdout P 10 %", "stderr F no", "stderr F no, too") + later + " stderr F later\n", []string{"stdout 10 %", "stderr no", "stderr no, too", "stderr later"}},
		{"a line between those of a trace", file("stderr F panic: no", "stdout F a", "stderr F \t/a.go:8", "stdout F b", "stderr F next", "stderr F {}"), []string{"stderr panic: no\n\t/a.go:8", "stdout a", "stdout b", "stderr next", "stderr {}"}},
		{"a trace whose lines have parts", file("stderr F panic: no", "stderr P \t/a", "stderr F .go:8", "stderr F {}"), []string{"stderr panic: no\n\t/a.go:8", "stderr {}"}},
		{"a trace is of one stream", file("stderr F panic: no", "stdout F  indented") + later + " stdout F {}\n", []string{"stderr panic: no", "stdout  indented", "stdout {}"}},
		{"an object is no beginning of a trace", file("stdout F {}", "stdout F  indented", "stdout F {}"), []string{"stdout {}", "stdout  indented", "stdout {}"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// However much of the file is there at a time.
			for _, step := range []int{1, 7, len(test.file)} {
				if diff := cmp.Diff(test.want, read(t, test.file, step)); diff != "" {
					t.Errorf("%d bytes at a time (-want +got):\n%s", step, diff)
				}
			}
		})
	}
}

// read cuts a file that grows by so many bytes, as the reader of files does.
func read(t testing.TB, file string, step int) []string {
	var got []string
	for offset, there := 0, 0; there < len(file); {
		there = min(there+step, len(file))
		for {
			advance, run, err := splitRun([]byte(file[offset:there]), true)
			if err != nil {
				t.Fatal(err)
			}
			if run == nil {
				break
			}
			for len(run) > 0 {
				var token []byte
				token, run = cut(run)
				for _, r := range records(token, nil) {
					got = append(got, r.stream.String()+" "+string(r.text))
				}
			}
			offset += advance
		}
	}
	return got
}

// TestTraces has what programs write when they fail, each below its name, and what is
// written next. "---8<---" stands between the records that are to come of it.
func TestTraces(t *testing.T) {
	traces, err := os.ReadFile("testdata/traces.txt")
	if err != nil {
		t.Fatal(err)
	}
	for trace := range strings.SplitSeq(strings.TrimSuffix(string(traces), "\n"), "\n=====") {
		name, text, _ := strings.Cut(trace, "\n")
		t.Run(strings.Trim(name, "= "), func(t *testing.T) {
			var lines, want []string
			for record := range strings.SplitSeq(text, "\n---8<---\n") {
				want = append(want, "stderr "+record)
				for line := range strings.SplitSeq(record, "\n") {
					lines = append(lines, "stderr F "+line)
				}
			}
			want = append(want, "stderr {}")
			if diff := cmp.Diff(want, read(t, file(append(lines, "stderr F {}")...), 1)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is too long comes in pieces, and nothing of it is lost.
func TestSplitIsBounded(t *testing.T) {
	part := "stdout P " + strings.Repeat("x", 16<<10)
	trace := []string{"stderr F panic: no"}
	for range 2 * maxRecord / 1000 {
		trace = append(trace, "stderr F \t"+strings.Repeat("y", 1000))
	}
	var parts []string
	for range 3 * maxRecord / len(part) {
		parts = append(parts, part)
	}
	for name, text := range map[string]string{
		"parts":     file(append(parts, "stdout F x", "stdout F {}")...),
		"trace":     file(append(trace, "stderr F {}")...),
		"no format": strings.Repeat("z", 3*maxRecord) + "\n" + file("stdout F {}"),
	} {
		scanner := bufio.NewScanner(strings.NewReader(text))
		scanner.Buffer(nil, 2*maxRecord)
		scanner.Split(splitRun)
		var all bytes.Buffer
		count := 0
		for ; scanner.Scan(); count++ {
			if len(scanner.Bytes()) > maxRecord+17<<10 {
				t.Errorf("%s: a record has %d bytes", name, len(scanner.Bytes()))
			}
			all.Write(scanner.Bytes())
		}
		if err := scanner.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if all.String() != text {
			t.Errorf("%s: %d bytes came of %d", name, all.Len(), len(text))
		}
		// Of a trace, the lines beyond the bound are records of their own.
		if count < 3 || count > 10 && name != "trace" {
			t.Errorf("%s: it came in %d pieces", name, count)
		}
	}
}

// Records are the same, and no run is much longer than it may be, wherever in the
// file a run ends.
func TestRunsAreCutBetweenRecords(t *testing.T) {
	var lines, want []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("stdout F plain %d", i), "stderr F panic: no", "stderr F ", "stderr F \t/a.go:8", fmt.Sprintf(`stdout P {"a":%d`, i), "stdout F }")
		want = append(want, fmt.Sprintf("stdout plain %d", i), "stderr panic: no\n\n\t/a.go:8", fmt.Sprintf(`stdout {"a":%d}`, i))
	}
	text := file(append(lines, "stderr F {}")...)
	if diff := cmp.Diff(append(want, "stderr {}"), read(t, text, 1<<20)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	runs := 0
	for rest := []byte(text); len(rest) > 0; runs++ {
		advance, _, err := splitRun(rest, true)
		if err != nil || advance == 0 || advance > maxRun {
			t.Fatalf("a run has %d bytes, %v", advance, err)
		}
		rest = rest[advance:]
	}
	if least := len(text) / maxRun; runs < least || runs > least*11/10 {
		t.Errorf("there are %d runs of %d bytes", runs, len(text))
	}
}

func TestTimes(t *testing.T) {
	token := []byte("2026-08-20T12:00:00.5+02:00 stdout P a\n2026-08-20T12:00:01+02:00 stdout F b\n")
	got := records(token, nil)
	if len(got) != 1 || !got[0].time.Equal(time.Date(2026, 8, 20, 10, 0, 0, 5e8, time.UTC)) {
		t.Errorf("the records are %+v", got)
	}
	if got := records([]byte("no time\n"), nil); len(got) != 1 || !got[0].time.IsZero() {
		t.Errorf("the records are %+v", got)
	}
}

// Whatever is in a file, it is cut into pieces that follow each other without a
// gap, in the same way however it grows, and each is a record.
func FuzzSplit(f *testing.F) {
	f.Add(file("stdout F a", "stderr P b", "stdout F c", "stderr F d", "stdout F {}"), 5)
	f.Add(file("stderr F panic: no", "stderr F ", "stderr F \tx"), 1)
	f.Add("x\n\n2026\n", 2)
	f.Fuzz(func(t *testing.T, text string, step int) {
		if step < 1 || len(text) > 4096 {
			return
		}
		var alone []string
		rest := []byte(text)
		for len(rest) > 0 {
			advance, token, err := split(rest, true)
			if err != nil {
				t.Fatal(err)
			}
			if token == nil {
				break
			}
			if advance != len(token) || advance == 0 || token[advance-1] != '\n' {
				t.Fatalf("%q was cut to %q", rest, token)
			}
			found := records(token, nil)
			if len(found) == 0 {
				t.Fatalf("%q is no record", token)
			}
			for _, r := range found {
				alone = append(alone, r.stream.String()+" "+string(r.text))
			}
			rest = rest[advance:]
		}
		// Runs of records are cut into the same ones.
		for _, step := range []int{step, len(text) + 1} {
			if diff := cmp.Diff(alone, read(t, text, step)); diff != "" {
				t.Errorf("%q by %d:\n%s", text, step, diff)
			}
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	text := []byte(file(`stdout F {"time":"2026-08-20T10:00:07.440100649Z","level":"INFO","msg":"request","request_id":"GL7SD27Y5M6OWNY25J65NJLCGV","status":200}`))
	var into []record
	for b.Loop() {
		_, token, _ := split(text, true)
		into = records(token, into[:0])
	}
}
