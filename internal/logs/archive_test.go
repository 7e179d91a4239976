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
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// noon is when the tests' lines are written.
var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// TestSearchOfWhatTheAgentWrote reads an object of the real log agent, which had
// read testdata/0.log and a line of a database.
func TestSearchOfWhatTheAgentWrote(t *testing.T) {
	object, err := os.ReadFile("testdata/object.json")
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
	for attribute, change := range map[string]string{
		`"k8s.deployment.name","value":{"stringValue":"shop"}`: `"k8s.deployment.name","value":{"stringValue":"shop2"}`,
		`"k8s.deployment.name"`:                                `"k8s.statefulset.name"`,
	} {
		changed := strings.ReplaceAll(string(document(t, written{"shop-a", "foreign", noon})), attribute, change)
		a.put(t, "node-1", noon, compressed(t, []byte(changed)))
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
		if of(source{Container: Container{Pod: pod}}, "shop") != want {
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
		if _, err := a.client.Client.PutObject(t.Context(), a.bucket, "logs/production/"+foreign, strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
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
	good := document(t, written{"shop-a", "kept", noon}, written{"shop-a", strings.Repeat("long", 20_000), noon.Add(1)})
	zipped := compressed(t, good)
	flipped := bytes.Clone(zipped)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	bad := map[string]string{}
	for what, data := range map[string][]byte{
		"half gzip": zipped[:len(zipped)-20], "a flipped bit": flipped, "half JSON": compressed(t, good[:len(good)-40]),
		"nothing": []byte("\n"), "empty gzip": compressed(t, nil), "text": []byte("hello"), "an array": compressed(t, []byte("[]")),
		"another shape":   compressed(t, []byte(`{"resourceLogs":[{"scopeLogs":{}}]}`)),
		"a line too much": compressed(t, append(bytes.Clone(good), "{}"...)),
		"no time":         compressed(t, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`)),
		"a bomb":          compressed(t, append([]byte(`{"resourceLogs":[]`), bytes.Repeat([]byte(" "), largest)...)),
	} {
		bad[a.put(t, "node-1", noon, data)] = what
	}
	a.write(t, "node-1", noon, written{"shop-a", "whole", noon.Add(2)})
	got, err := a.search(t, Query{From: noon, Grep: regexp.MustCompile("^(kept|whole)$")}, nil)
	wantTexts(t, got, "kept whole")
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	for key, what := range bad {
		if !strings.Contains(err.Error(), "archived object "+key+": damaged: ") {
			t.Errorf("%s is not named", what)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != len(bad)-1 {
		t.Errorf("%d more lines for %d objects:\n%v", n, len(bad), err)
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
	a.put(t, "node-1", noon, document(t, written{"shop-a", "plain", noon}))
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

// BenchmarkSearch reads objects of the size that the agent writes, and finds nothing
// in them.
func BenchmarkSearch(b *testing.B) {
	a := open(b, bucketOf(b))
	sample, err := os.ReadFile("testdata/object.json")
	if err != nil {
		b.Fatal(err)
	}
	var all struct{ ResourceLogs []json.RawMessage }
	if err := json.Unmarshal(sample, &all); err != nil {
		b.Fatal(err)
	}
	one := strings.ReplaceAll(string(all.ResourceLogs[0]), "realworld-", "shop-")
	const objects, copies = 8, 1000
	// What differs in every line is what compression and search have to do with.
	varied := make([]string, copies)
	for i := range varied {
		varied[i] = strings.NewReplacer("GL7SD27Y5M6OWNY25J65NJLCGV", rand.Text(), "some-article-31216", "article-"+rand.Text()[:8], "no message", rand.Text(),
			"5.089", fmt.Sprint(5+float64(i)/1000)).Replace(one)
	}
	document := []byte(`{"resourceLogs":[` + strings.Join(varied, ",") + `]}`)
	data := compressed(b, document)
	for i := range objects {
		a.put(b, fmt.Sprintf("node-%d", i), noon, data)
	}
	for name, pattern := range map[string]string{"literal": "MARKER", "pattern": "MARKER|OTHER"} {
		b.Run(name, func(b *testing.B) {
			q := Query{From: noon.Add(-3 * time.Hour), Grep: regexp.MustCompile(pattern)}
			b.SetBytes(int64(objects * len(document)))
			for b.Loop() {
				if _, err := a.search(b, q, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(objects*copies*strings.Count(one, "timeUnixNano")*b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
