package nginx

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestErrorLog(t *testing.T) {
	var out bytes.Buffer
	log := &errorLog{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
	for _, piece := range []string{
		"2026/01/02 15:04:05 [error] 12#12: *3 connect() failed, request: \"GET /x?tok",
		"en=hush HTTP/1.1\", upstream: \"http://10.0.0.1/x?token=hush\"\n2026/01/02 15:04:05 [notice] 1#1: ready\nsomething else",
	} {
		if _, err := log.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	log.flush()
	want := strings.Join([]string{
		`level=ERROR msg="connect() failed, request: \"GET /x?… HTTP/1.1\", upstream: \"http://10.0.0.1/x?…\"" source=nginx`,
		`level=INFO msg=ready source=nginx`,
		`level=WARN msg="something else" source=nginx`,
		"",
	}, "\n")
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestLineWriter(t *testing.T) {
	var writes []string
	out := writerFunc(func(p []byte) (int, error) {
		writes = append(writes, string(p))
		return len(p), nil
	})
	w := &lineWriter{out: out}
	for _, piece := range []string{"one\ntw", "o", "\nthree\n", "four\n"} {
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(writes, "|"), "one\n|two\nthree\n|four\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
