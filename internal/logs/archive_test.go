package logs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// noon is when the tests' lines are written.
var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// TestSearchOfWhatTheAgentWrote reads an object of the real log agent, which had
// read testdata/0.log and a line of a database.
func TestSearchOfWhatTheAgentWrote(t *testing.T) {
	object, err := os.ReadFile("testdata/object.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(bucketOf(t), "realworld", "production")
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, "node-1", noon, compressed(t, object))
	found, err := a.Search(t.Context(), Query{From: noon.Add(-3 * time.Hour), Until: noon}, nil, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var text, whole bytes.Buffer
	encoder := json.NewEncoder(&whole)
	encoder.SetEscapeHTML(false)
	for l, err := range found.Lines {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&text, l.Text())
		if err := encoder.Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/object.text.golden", text.String())
	golden(t, "testdata/object.json.golden", whole.String())
}

// TestSearchBringsLinesIntoTheOrderOfTime has three nodes, an upload that was late,
// and one that was repeated.
func TestSearchBringsLinesIntoTheOrderOfTime(t *testing.T) {
	a := open(t, bucketOf(t))
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	a.write(t, "node-1", at(10), written{"shop-a", "one", at(1)}, written{"shop-b", "four", at(4)})
	again := []written{{"shop-c", "three", at(3)}, {"shop-c", "six", at(6)}, {"shop-c", "six", at(7)}}
	a.write(t, "node-2", at(9), again...)
	a.write(t, "node-2", at(11), again...)
	a.write(t, "node-3", at(300), written{"shop-d", "two", at(2)}, written{"shop-d", "five", at(5)})
	q := Query{From: noon, Until: at(60)}
	for _, limit := range []int{spoolBytes, 1, 600} {
		a.spool = limit
		got, err := a.search(t, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantTexts(t, got, "one two three four five six six")
	}
	held := Held{
		{"shop-c", "web"}:   at(6),
		{"shop-a", "other"}: at(0),
		{"shop-d", "web"}:   at(5).Add(1),
	}
	got, err := a.search(t, q, held)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, got, "one two three four five")
}

// TestManyLinesOfOneTimeComeOnce has more lines with the same time than are few, all
// of them delivered twice.
func TestManyLinesOfOneTimeComeOnce(t *testing.T) {
	a := open(t, bucketOf(t))
	var lines []written
	var want []string
	for i := range 300 {
		lines = append(lines, written{"shop-a", fmt.Sprintf("line%03d", i), noon})
		want = append(want, lines[i].text)
	}
	a.write(t, "node-1", noon, lines...)
	a.write(t, "node-1", noon.Add(time.Minute), lines...)
	got, err := a.search(t, Query{From: noon}, nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	wantTexts(t, got, strings.Join(want, " "))
}

func TestSearchTakesWhatIsAskedFor(t *testing.T) {
	a := open(t, bucketOf(t))
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	a.write(t, "node-1", at(30), written{"shop-a", "DEBUG:a", at(1)}, written{"shop-a", "b", at(2)}, written{"shop-a", "ERROR:c", at(3)})
	for want, q := range map[string]Query{
		"DEBUG:a b ERROR:c": {From: noon},
		"b ERROR:c":         {From: at(2), Level: "info"},
		"DEBUG:a b":         {From: noon, Until: at(2)},
		"ERROR:c":           {From: noon, Grep: regexp.MustCompile("^ERR.*c$")},
		"":                  {From: at(4)},
	} {
		got, err := a.search(t, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantTexts(t, got, want)
	}
}

func TestSearchTakesADayWhereNobodySays(t *testing.T) {
	a := open(t, bucketOf(t))
	now := time.Now()
	a.write(t, "node-1", now.Add(-24*time.Hour), written{"shop-a", "yesterday", now.Add(-25 * time.Hour)})
	a.write(t, "node-1", now, written{"shop-a", "today", now.Add(-23 * time.Hour)})
	got, err := a.search(t, Query{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, got, "today")
	got, err = a.search(t, Query{Until: now.Add(-24 * time.Hour)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, got, "yesterday")
}

// TestOnlyTheApplicationsLines leaves out other environments', databases' and jobs'.
func TestOnlyTheApplicationsLines(t *testing.T) {
	b := bucketOf(t)
	a := open(t, b)
	other, err := Open(b, "shop", "staging")
	if err != nil {
		t.Fatal(err)
	}
	other.write(t, "node-1", noon, written{"shop-a", "staging", noon})
	a.write(t, "node-1", noon, written{"shop-a", "production", noon})
	for owner, other := range map[string]string{`"deployment":"shop"`: `"deployment":"shop2"`, `"deployment"`: `"statefulset"`} {
		changed := bytes.ReplaceAll(objectOf(written{"shop-a", "foreign", noon}), []byte(owner), []byte(other))
		a.put(t, "node-1", noon, compressed(t, changed))
	}
	got, err := a.search(t, Query{From: noon}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, got, "production")

	for pod, want := range map[string]bool{
		"shop-7d9c6bf5d-x2k4q": true, "shop-postgres-0": false, "shop-backup-29384-x2k4q": false, "shop2-7d9c6bf5d-x2k4q": false,
		"shop": false, "": false,
	} {
		if (origin{Pod: pod}).of("shop") != want {
			t.Errorf("pod %q without a Deployment: want %t", pod, want)
		}
	}
}

// TestWhichObjectsAreRead puts objects around a time.
func TestWhichObjectsAreRead(t *testing.T) {
	a := open(t, bucketOf(t))
	keys := map[string]string{}
	for name, at := range map[string]time.Time{
		"month before": noon.AddDate(0, -1, 0), "hour before": noon.Add(-time.Hour), "same hour, before": noon.Add(10 * time.Minute),
		"in it": noon.Add(31 * time.Minute), "hour after": noon.Add(time.Hour), "day after": noon.Add(24 * time.Hour), "two days after": noon.Add(48 * time.Hour),
	} {
		keys[a.write(t, "node-1", at, written{"shop-a", "x", noon})] = name
	}
	for _, foreign := range []string{"notes.txt", "2026/08/20/12/notes.txt", "20"} {
		if err := a.bucket.Put(t.Context(), "logs/production/"+foreign, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for o, err := range a.objects(t.Context(), Query{From: noon.Add(30 * time.Minute), Until: noon.Add(40 * time.Minute)}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, keys[o.key])
	}
	if want := "in it, hour after, day after"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

func TestUploadOf(t *testing.T) {
	at, known := uploadOf("2026/08/20/10/node_logs_1_logs_01a206d9-b65b-78d2-a8b3-9b1c82091da3.json.gz")
	if known {
		t.Errorf("taken from a name with the mark twice: %s", at)
	}
	at, known = uploadOf("2026/11/23/05/node-1_logs_01a206fc-2bc7-7495-8047-122f8b632169.json.gz")
	if !known || at.UTC().Format(time.DateTime) != "2026-11-23 05:58:39" {
		t.Errorf("got %s, %t", at, known)
	}
	for _, name := range []string{"", "node-1_logs_", "node-1_logs_01a206fc-2bc7-4495-8047-122f8b632169.json.gz", "node-1_logs_x1a206fc-2bc7-7495-8047-122f8b632169.json.gz"} {
		if at, known := uploadOf(name); known {
			t.Errorf("%q: %s", name, at)
		}
	}
}

// TestDamagedObjectsAreNamedAndPassedOver breaks objects in every way.
func TestDamagedObjectsAreNamedAndPassedOver(t *testing.T) {
	a := open(t, bucketOf(t))
	good := objectOf(written{"shop-a", "kept", noon}, written{"shop-a", rand.Text() + strings.Repeat("long", 20_000), noon.Add(1)})
	zipped := compressed(t, good)
	flipped := bytes.Clone(zipped)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	then := func(line string) []byte { return compressed(t, append(bytes.Clone(good), line...)) }
	why := map[string]string{}
	for _, bad := range []struct {
		data []byte
		why  string
	}{
		{zipped[:len(zipped)-20], "unexpected EOF"},
		{flipped, "gzip: invalid checksum"},
		{[]byte{0x1f, 0x8b}, "unexpected EOF"},
		{compressed(t, good[:len(good)-40]), "line 2: unexpected end of JSON input"},
		{compressed(t, nil), "it is empty"},
		{[]byte("\n"), "line 1: unexpected end of JSON input"},
		{[]byte("hello"), "line 1: invalid character"},
		{then("\x00\x00\x00"), "line 3: invalid character"},
		{then("[]"), "line 3: json: cannot unmarshal array"},
		{then("{} {}"), "line 3: invalid character"},
		{then("{}"), "line 3: it has no time (dt)"},
		{then(`{"dt":"yesterday"}`), "line 3: parsing time"},
		{then(`{"dt":1787220007}`), "line 3: "},
		{then(strings.Replace(string(good), `"fields":{`, `"fields":[{`, 1)), "line 3: invalid character"},
		{then(`{"dt":"2026-08-20T12:00:00Z","context":{"kubernetes":{"deployment":"shop"}},"fields":[1]}`), "line 3: its fields: no object in JSON"},
		{[]byte(`{"resourceLogs":[{"scopeLogs":[]}]}`), "line 1: it has no time (dt)"},
		{then(strings.Repeat(" ", largest)), "larger than 64 MiB"},
	} {
		why[a.put(t, "node-1", noon, bad.data)] = bad.why
	}
	a.write(t, "node-1", noon, written{"shop-a", "whole", noon.Add(2)})
	got, err := a.search(t, Query{From: noon, Grep: regexp.MustCompile("^[a-z]+$")}, nil)
	wantTexts(t, got, "kept whole")
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	for key, why := range why {
		if !strings.Contains(err.Error(), "archived object "+key+": damaged: "+why) {
			t.Errorf("%s is not said of one", why)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != len(why)-1 {
		t.Errorf("%d more lines for %d objects", n, len(why))
	}
	if t.Failed() {
		t.Logf("%.5000s", err)
	}
}

// TestWhatStandsBeforeADamageIsFound has a needle, which the damaged part does not have.
func TestWhatStandsBeforeADamageIsFound(t *testing.T) {
	a := open(t, bucketOf(t))
	zipped := compressed(t, objectOf(written{"shop-a", "kept", noon}, written{"shop-a", rand.Text(), noon}))
	a.put(t, "node-1", noon, zipped[:len(zipped)-9])
	got, err := a.search(t, Query{From: noon, Grep: regexp.MustCompile("kept")}, nil)
	wantTexts(t, got, "kept")
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// TestLinesOfAnyShape are such as the agent may write, if seldom.
func TestLinesOfAnyShape(t *testing.T) {
	a := open(t, bucketOf(t))
	long := strings.Repeat("\x01", 8<<20/6)
	a.put(t, "node-1", noon, compressed(t, []byte(
		`{"context":{"kubernetes":{"deployment":"shop","other":[7]},"service.name":"x"},"fields":{},"level":"info","message":"turned","truncated":true,"dt":"2026-08-20T12:00:00Z"}`+"\n"+
			`{"dt":"2026-08-20T12:00:01.000000001Z","message":"bare","context":{"kubernetes":{"deployment":"shop"}}}`+"\r\n"+
			string(archived(Line{Time: noon.Add(2 * time.Second), Message: long}))+
			strings.TrimSuffix(string(archived(Line{Time: noon.Add(3 * time.Second), Message: "unended"})), "\n"))))
	got, err := a.search(t, Query{From: noon}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"INFO  turned", "bare", long, "unended"}; !slices.Equal(got, want) {
		t.Errorf("got %.200q", got)
	}
}

func TestManyDamagedObjectsAreCounted(t *testing.T) {
	var d damages
	for range mostNamed + 5 {
		d.add(ErrDamaged)
	}
	if err := d.err(); strings.Count(err.Error(), "damaged") != mostNamed+1 || !strings.Contains(err.Error(), "and 5 more objects") || !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// TestObjectsThatWereDecompressedOnTheWay are taken as they are.
func TestObjectsThatWereDecompressedOnTheWay(t *testing.T) {
	a := open(t, bucketOf(t))
	a.put(t, "node-1", noon, objectOf(written{"shop-a", "plain", noon}))
	got, err := a.search(t, Query{From: noon}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, got, "plain")
}

func TestABucketThatCannotBeRead(t *testing.T) {
	b := bucketOf(t)
	refused, none, away := b, b, b
	refused.SecretKey = "a-wrong-secret"
	none.Name = "there-is-none"
	away.Endpoint = "http://127.0.0.1:1"
	for hint, b := range map[string]provider.Bucket{"access key": refused, "bucket's name": none, "endpoint": away} {
		_, err := open(t, b).search(t, Query{From: noon}, nil)
		if err == nil || !strings.Contains(fault.Hint(err), hint) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, hint %q", err, fault.Hint(err))
		}
	}
	wrong := b
	wrong.Endpoint = "ftp://x"
	if _, err := Open(wrong, "shop", "production"); !fault.IsUsage(err) {
		t.Errorf("got %v", err)
	}
	wrong = b
	wrong.CA = []byte("none")
	if _, err := Open(wrong, "shop", "production"); !fault.IsUsage(err) {
		t.Errorf("got %v", err)
	}
}

func TestSearchEndsWithItsContext(t *testing.T) {
	a := open(t, bucketOf(t))
	a.write(t, "node-1", noon, written{"shop-a", "x", noon})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Search(ctx, Query{From: noon}, nil, progress.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkSearch reads objects of the size that the agent writes, and finds nothing,
// or one line, in them.
func BenchmarkSearch(b *testing.B) {
	a := open(b, bucketOf(b))
	sample, err := os.ReadFile("testdata/object.ndjson")
	if err != nil {
		b.Fatal(err)
	}
	all := strings.SplitAfter(strings.ReplaceAll(string(sample), "realworld-", "shop-"), "\n")
	one := strings.Join(all[:9], "") // those of the application
	const objects, copies = 8, 1000
	// What differs in every line is what compression and search have to do with.
	varied := make([]string, copies)
	for i := range varied {
		varied[i] = strings.NewReplacer("GL7SD27Y5M6OWNY25J65NJLCGV", rand.Text(), "some-article-31216", "article-"+rand.Text()[:8], "no message", rand.Text(),
			"5.089", fmt.Sprint(5+float64(i)/1000)).Replace(one)
	}
	varied[copies/2] = strings.Replace(varied[copies/2], "/article-", "/ONEPLACE-", 1)
	object := []byte(strings.Join(varied, ""))
	data := compressed(b, object)
	for i := range objects {
		a.put(b, fmt.Sprintf("node-%d", i), noon, data)
	}
	for name, pattern := range map[string]string{"literal": "MARKER", "literal in one line": "ONEPLACE", "pattern": "MARKER|OTHER"} {
		b.Run(name, func(b *testing.B) {
			q := Query{From: noon.Add(-3 * time.Hour), Grep: regexp.MustCompile(pattern)}
			b.SetBytes(int64(objects * len(object)))
			for b.Loop() {
				if _, err := a.search(b, q, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(objects*copies*strings.Count(one, "\n")*b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
