package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"berth/internal/logs"
)

// events are those of a whole stream, by name.
func (v *visitor) events(t *testing.T, query url.Values) (lines []line, said map[string][]string) {
	t.Helper()
	answer := v.get("/environments/production/logs/stream?" + query.Encode())
	if got := answer.Header().Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%s: %s", got, answer.Body)
	}
	said = map[string][]string{}
	name := ""
	scanner := bufio.NewScanner(answer.Body)
	scanner.Buffer(nil, 1<<24)
	for scanner.Scan() {
		if text, ok := strings.CutPrefix(scanner.Text(), "event: "); ok {
			name = text
		}
		data, ok := strings.CutPrefix(scanner.Text(), "data: ")
		if !ok {
			continue
		}
		said[name] = append(said[name], data)
		if name == "lines" {
			var some struct {
				Lines []line
				Left  int
			}
			if err := json.Unmarshal([]byte(data), &some); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, some.Lines...)
		}
	}
	return lines, said
}

// all is a query for everything, which ends.
func all() url.Values {
	return url.Values{"since": {between}, "from": {time.Now().Add(-24 * time.Hour).Format("2006-01-02T15:04")}}
}

func TestLinesOfTheArchiveAndTheCluster(t *testing.T) {
	v := visit(t)
	lines, said := v.events(t, all())
	if len(lines) != 9 || lines[0].Pod != "conduit-6c9d7f-x2k4q" || lines[0].Kind != "error" || lines[0].Level != "ERROR" ||
		lines[0].Text != `no such table: articles needle="of the pod that is gone"` || !strings.Contains(lines[7].Text, "\nmain.feed(") {
		t.Errorf("%+v", lines)
	}
	if got := fmt.Sprint(said["note"], said["end"]); got != `["lines of pods that are gone come from the archive"] [{}]` {
		t.Error(got)
	}
}

func TestWhatAStreamIsAskedFor(t *testing.T) {
	now := time.Date(2026, 11, 27, 14, 0, 0, 0, time.Local)
	for query, want := range map[string]string{
		"":                    "-10m0s - - follow ",
		"since=live":          "-10m0s - - follow ",
		"since=never":         "-10m0s - - follow ",
		"since=1h&level=warn": "-1h0m0s - warn follow archive ",
		"since=7d&search=a.b": "-168h0m0s - - follow archive a.b",
		"since=between":       "- - - archive ",
		"since=between&from=2026-11-27T13:00&until=2026-11-27T13:30:30": "-1h0m0s -29m30s - archive ",
		"since=between&from=yesterday":                                  "\"yesterday\" is no time",
		"since=between&from=2026-11-27T13:00&until=2026-11-27T12:00":    "no line is both since",
		"level=loud": `there is no level "loud"`,
		"search=(":   "is not a regular expression",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := fieldsOf(v).query(now)
		got := ""
		for _, at := range []time.Time{q.From, q.Until} {
			if at.IsZero() {
				got += "- "
			} else {
				got += at.Sub(now).String() + " "
			}
		}
		if q.Level == "" {
			q.Level = "-"
		}
		got += q.Level + " "
		if q.Follow {
			got += "follow "
		}
		if q.Archive {
			got += "archive "
		}
		if q.Grep != nil {
			got += q.Grep.String()
		}
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != want || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// A query that cannot be meant, and a cluster that is away, are the stream's last word.
func TestAStreamThatFails(t *testing.T) {
	v := visit(t)
	_, said := v.events(t, url.Values{"search": {"("}})
	if got := fmt.Sprint(said["end"]); !strings.Contains(got, "is not a regular expression") {
		t.Error(got)
	}
	v.fake.live, v.fake.archived, v.fake.away = nil, nil, errAway
	_, said = v.events(t, all())
	if got := fmt.Sprint(said["end"]); got != `[{"error":"the cluster is not up","hint":"berth up"}]` {
		t.Error(got)
	}
}

// What nobody can read is left out and counted, and what was told last stays.
func TestAFlood(t *testing.T) {
	v := visit(t)
	v.fake.live, v.fake.archived = nil, nil
	at := time.Now().Add(-time.Hour)
	const flood = 100_000
	for i := range flood {
		v.fake.live = append(v.fake.live, logs.Line{Time: at.Add(time.Duration(i)), Pod: "p", Message: fmt.Sprint(i)})
	}
	lines, said := v.events(t, all())
	left := 0
	for _, text := range said["lines"] {
		var some struct{ Left int }
		if err := json.Unmarshal([]byte(text), &some); err != nil {
			t.Fatal(err)
		}
		left += some.Left
	}
	if len(lines)+left != flood || lines[len(lines)-1].Text != fmt.Sprint(flood-1) {
		t.Errorf("%d lines and %d left out; the last is %+v", len(lines), left, lines[len(lines)-1])
	}
}

// Values of secrets and what would move text around are on no page.
func TestLinesAreCleanAndHideSecrets(t *testing.T) {
	v := visit(t)
	v.fake.archived = nil
	v.fake.live = []logs.Line{
		lineAt(time.Now().Add(-time.Minute), "p\u202e", "password correct-horse-battery \x1b[31mred\x1b[0m\u202e and "+hostile),
		lineAt(time.Now(), "p", `{"level":"error\u001b[0m","msg":"x","dsn":"postgres://u:correct-horse-battery@db"}`),
	}
	lines, said := v.events(t, all())
	got := fmt.Sprint(lines)
	if strings.Contains(got, "correct-horse") || strings.ContainsAny(got, "\x1b\u202e") || !strings.Contains(got, "red and "+hostile) {
		t.Errorf("%s", got)
	}
	if raw := fmt.Sprint(said["lines"]); strings.Contains(raw, "<script>") {
		t.Errorf("JSON has tags: %s", raw)
	}
}

// A browser whose connection broke gets what it has not, once.
func TestAStreamGoesOn(t *testing.T) {
	v := visit(t)
	r := request(http.MethodGet, v.guard.path+"/environments/production/logs/stream?"+all().Encode(), nil)
	last := v.fake.live[4].Time
	r.Header.Set("Last-Event-ID", last.UTC().Format(time.RFC3339Nano))
	if answer := v.do(r); strings.Contains(answer.Body.String(), "cache miss") || !strings.Contains(answer.Body.String(), "goroutine 41") {
		t.Error(answer.Body)
	}
	if v.fake.asked.Archive || !v.fake.asked.From.Equal(last.Add(1)) {
		t.Errorf("%+v", v.fake.asked)
	}
}

// Whatever a line says, it is one event of one line of JSON, and nothing of it can move
// text around or become a tag.
func FuzzLines(f *testing.F) {
	for _, text := range []string{"", "plain", hostile, "a\r\nevent: end\ndata: {}\n\n", "\u2028\u202e\x1b[2J\x00\xff", `{"level":"error","msg":"x"}`} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, pod, text string) {
		feed, said := &feed{}, ""
		at := time.Unix(1, 0)
		feed.add(lineOf(lineAt(at, pod, text), func(text string) string { return text }, at), at)
		sent, _ := feed.events(&said)
		parts := strings.Split(string(sent), "\n")
		if len(parts) != 5 || parts[0] != "id: 1970-01-01T00:00:01Z" || parts[1] != "event: lines" || parts[3]+parts[4] != "" {
			t.Fatalf("%q", parts)
		}
		data, _ := strings.CutPrefix(parts[2], "data: ")
		if strings.ContainsAny(data, "<>&\r\x00\x1b\u2028\u202e") {
			t.Errorf("%q", data)
		}
		var got struct{ Lines []line }
		if err := json.Unmarshal([]byte(data), &got); err != nil || len(got.Lines) != 1 {
			t.Errorf("%v in %q", err, data)
		}
		for _, l := range got.Lines {
			if strings.ContainsAny(l.Pod+l.Level+l.Text, "\r\x00\x1b\u202e") {
				t.Errorf("%+v", l)
			}
		}
	})
}
