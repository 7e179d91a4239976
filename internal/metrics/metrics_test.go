package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
	"berth/internal/kube"
)

func answering(content string, err error) Store {
	return Store{Get: func(context.Context, string) ([]byte, error) { return []byte(content), err }}
}

// Whatever kind of result it is, it comes as series.
func TestResults(t *testing.T) {
	at := func(millis int64) time.Time { return time.UnixMilli(millis) }
	for _, test := range []struct {
		name, content string
		want          []Series
	}{
		{"a vector", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"nodes"},"value":[1767225600.5,"1"]}]}}`,
			[]Series{{map[string]string{"__name__": "up", "job": "nodes"}, []Point{{at(1767225600500), 1}}}}},
		{"a matrix", `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"0.25"],[2,"NaN"],[3,"+Inf"]]}]}}`,
			[]Series{{map[string]string{}, []Point{{at(1000), 0.25}, {at(2000), None}, {at(3000), Value(math.Inf(1))}}}}},
		{"a scalar", `{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}`, []Series{{nil, []Point{{at(1000), 2.5}}}}},
		{"nothing", `{"status":"success","data":{"resultType":"vector","result":[]}}`, []Series{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := answering(test.content, nil).Query(t.Context(), "up", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b Value) bool { return a == b || a.Missing() && b.Missing() })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	refused := &kube.StatusError{Code: http.StatusUnprocessableEntity, Body: []byte(`{"status":"error","errorType":"422","error":"cannot parse \"up{\""}`)}
	for _, test := range []struct {
		name    string
		store   Store
		want    string
		misused bool
	}{
		{"no PromQL", answering("", refused), `ask for metrics: cannot parse "up{"`, true},
		{"a query that takes too long", answering("", &kube.StatusError{Code: 503, Body: []byte(`{"status":"error","errorType":"503","error":"timeout exceeded"}`)}), "ask for metrics: timeout exceeded", false},
		{"a proxy's page", answering("", &kube.StatusError{Code: 502, Body: []byte("<html>")}), "ask for metrics: 502 Bad Gateway: <html>", false},
		{"away", answering("", errors.New("connection refused")), "ask for metrics: connection refused", false},
		{"no JSON", answering("<html>", nil), "read metrics: ", false},
		{"a value that is none", answering(`{"data":{"resultType":"vector","result":[{"metric":{},"value":[1,"much"]}]}}`, nil), `value "much"`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.store.Query(t.Context(), "up{", time.Now())
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.IsUsage(err) != test.misused {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestValuesAsJSON(t *testing.T) {
	content, err := json.Marshal([]Value{0.5, None, Value(math.Inf(1))})
	if err != nil || string(content) != "[0.5,null,null]" {
		t.Errorf("got %s, %v", content, err)
	}
	var back []Value
	if err := json.Unmarshal(content, &back); err != nil || back[0] != 0.5 || !back[1].Missing() {
		t.Errorf("got %v, %v", back, err)
	}
}

func TestSpark(t *testing.T) {
	for _, test := range []struct {
		values []Value
		want   string
	}{
		{nil, ""},
		{[]Value{None, None}, "  "},
		{[]Value{0, 0, 0}, "▁▁▁"},
		{[]Value{3}, "█"},
		{[]Value{0, 1, 2, 3, 4, 5, 6, 7, 8}, "▁▂▃▄▅▆▇██"},
		{[]Value{1000, None, 500, 0.001}, "█ ▅▁"},
		{[]Value{-1, 2}, "▁█"},
	} {
		if got := Spark(test.values); got != test.want {
			t.Errorf("%v: %q, want %q", test.values, got, test.want)
		}
	}
}

func TestSpan(t *testing.T) {
	if least, most, last := Span([]Value{None, 2, 1, 3, 2, None}); least != 1 || most != 3 || last != 2 {
		t.Errorf("got %v, %v, %v", least, most, last)
	}
	if least, most, last := Span([]Value{None}); !least.Missing() || !most.Missing() || !last.Missing() {
		t.Errorf("of nothing: %v, %v, %v", least, most, last)
	}
}
