package logs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/s3test"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// s3 is a real S3 server.
var s3 *s3test.Server

func TestMain(m *testing.M) { os.Exit(suite(m)) }

func suite(m *testing.M) int {
	var err error
	if s3, err = s3test.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s3.Stop()
	return m.Run()
}

func bucketOf(t testing.TB) provider.Bucket {
	return provider.Bucket{Endpoint: "http://" + s3.Address, Region: "us-east-1", Name: s3.Bucket(t), AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey}
}

// open opens the archive of the application shop in production.
func open(t testing.TB, b provider.Bucket) *Archive {
	t.Helper()
	a, err := Open(b, "shop", "production")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// put writes an object as the log agent does, and returns its name.
func (a *Archive) put(t testing.TB, node string, uploaded time.Time, data []byte) string {
	t.Helper()
	ms := uploaded.UnixMilli()
	key := fmt.Sprintf("logs/%s/%s/%s_logs_%08x-%04x-7%03x-a8b3-%012x.json.gz", a.environment, uploaded.UTC().Format(hour), node, ms>>16, ms&0xffff, len(data)&0xfff, time.Now().UnixNano()&0xffffffffffff)
	if err := a.bucket.Put(t.Context(), key, data); err != nil {
		t.Fatal(err)
	}
	return key
}

func compressed(t testing.TB, object []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(object); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// written is what a pod wrote: a text, at a time.
type written struct {
	pod, text string
	at        time.Time
}

// objectOf is one of the archive's, without compression.
func objectOf(lines ...written) []byte {
	var all []byte
	for _, w := range lines {
		l := Line{Time: w.at, Pod: w.pod, Container: "web", Node: "node-1"}
		l.Level, l.Message, l.Fields = Parse(w.text)
		all = append(all, archived(l)...)
	}
	return all
}

// archived is a line of the application shop as the log agent writes it.
func archived(l Line) []byte {
	level, fields := "", Fields{}
	if l.Level != "" {
		level = `,"level":` + string(quote(strings.ToLower(l.Level)))
	}
	for _, f := range l.Fields {
		var text string
		if f.Value[0] == '"' && json.Unmarshal(f.Value, &text) == nil {
			f.Value = quote(text)
		}
		fields = append(fields, f)
	}
	// A map of texts and values that were decoded can be encoded.
	encoded, _ := append(fields, Field{"log.iostream", quote("stdout")}).MarshalJSON()
	return fmt.Appendf(nil, `{"dt":%q,"message":%s,"context":{"kubernetes":{"namespace":"production","pod":%s,"container":%s,"node":%s,"deployment":"shop"}}%s,"fields":%s}`+"\n",
		l.Time.Format(time.RFC3339Nano), quote(l.Message), quote(l.Pod), quote(l.Container), quote(l.Node), level, encoded)
}

func (a *Archive) write(t testing.TB, node string, uploaded time.Time, lines ...written) string {
	t.Helper()
	return a.put(t, node, uploaded, compressed(t, objectOf(lines...)))
}

// search returns the texts that are found.
func (a *Archive) search(t testing.TB, q Query, held Held) ([]string, error) {
	t.Helper()
	found, err := a.Search(t.Context(), q, held, progress.Discard)
	if found == nil {
		return nil, err
	}
	defer found.Close()
	var texts []string
	for l, err := range found.Lines {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, l.Text())
	}
	return texts, err
}

func wantTexts(t testing.TB, got []string, want string) {
	t.Helper()
	if !slices.Equal(got, strings.Fields(want)) {
		t.Errorf("got %q, want %s", got, want)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s(-update writes it)", got, want)
	}
}
