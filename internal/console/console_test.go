package console

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; -update rewrites it:\n%s", path, diff)
	}
}

// clock is a time that moves when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) sleep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func buffers() (*Console, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return New(Streams{In: strings.NewReader(""), Out: &out, Err: &err}, nil, Options{}), &out, &err
}

func TestPlainProgress(t *testing.T) {
	for name, verbose := range map[string]bool{"plain.golden": false, "plain-verbose.golden": true} {
		var out bytes.Buffer
		c := newClock()
		r := newPlain(&out, style{}, c.now, verbose)
		build := r.Step("Build images")
		start := r.Step("Start nodes")
		build.Detail("too early to be of interest")
		c.sleep(9 * time.Second)
		build.Detail("STEP 1/4: FROM debian")
		c.sleep(time.Second)
		build.Detail("STEP 2/4: \x1b[31mRUN\x1b[0m apt-get")
		c.sleep(4 * time.Second)
		build.Detail("STEP 3/4")
		start.End(nil)
		r.Note("one line\nand another")
		c.sleep(80 * time.Second)
		build.End(errors.New("exit status 1\n  the rest is printed with the error"))
		r.Step("Blink").End(nil)
		golden(t, name, out.String())
	}
}

// screen interprets what live writes: the lines that a person sees.
func screen(written string) string {
	var lines []string
	row, rest := 0, written
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, "\x1b["); ok {
			end := strings.IndexAny(after, "AJ")
			if after[end] == 'A' {
				up := 0
				for _, digit := range after[:end] {
					up = up*10 + int(digit-'0')
				}
				row -= up
			} else {
				lines = lines[:row]
			}
			rest = after[end+1:]
			continue
		}
		if after, ok := strings.CutPrefix(rest, "\r"); ok {
			rest = after
			continue
		}
		line, after, _ := strings.Cut(rest, "\n")
		lines = append(lines[:row], line)
		row++
		rest = after
	}
	return strings.Join(lines, "\n")
}

func TestLiveProgressIsRedrawnInPlace(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	var columns atomic.Int64
	columns.Store(60)
	r := newLive(&out, style{}, c.now, func() int { return int(columns.Load()) })
	defer r.close()
	show := func() string { r.mu.Lock(); defer r.mu.Unlock(); return screen(out.String()) }
	check := func(want ...string) {
		t.Helper()
		// The spinner turns by itself as well; which frame it shows is no matter.
		got := show()
		for _, frame := range frames {
			got = strings.ReplaceAll(got, frame, "*")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Error(diff)
		}
	}

	build := r.Step("Build images")
	start := r.Step("Start nodes")
	check(" * Build images", " * Start nodes")

	c.sleep(12 * time.Second)
	build.Detail("STEP 2/4: \x1b[2JRUN apt-get install everything that there is to install")
	r.tick()
	check(" * Build images (12s)  STEP 2/4: RUN apt-get install everyt", " * Start nodes (12s)")

	start.End(nil)
	check(" ✓ Start nodes (12s)", " * Build images (12s)  STEP 2/4: RUN apt-get install everyt")

	columns.Store(30)
	r.tick()
	check(" ✓ Start nodes (12s)", " * Build images (12s)")

	r.Note("kept for later")
	build.End(errors.New("exit status 1\nand more"))
	build.End(nil) // an end too many changes nothing
	check(" ✓ Start nodes (12s)", "   kept for later", " ✗ Build images: exit status 1")
}

func TestLiveProgressStaysSmallerThanTheWindow(t *testing.T) {
	var out bytes.Buffer
	r := newLive(&out, style{}, newClock().now, func() int { return 80 })
	for range mostSteps + 3 {
		r.Step("Work")
	}
	r.mu.Lock()
	seen := screen(out.String())
	r.mu.Unlock()
	if lines := strings.Count(seen, "\n") + 1; lines != mostSteps+1 || !strings.HasSuffix(seen, "… and 3 more") {
		t.Errorf("%d lines:\n%s", lines, seen)
	}
	r.close()
	if left := screen(out.String()); left != "" {
		t.Errorf("close left %q", left)
	}
}

func TestLiveProgressDrawsByItself(t *testing.T) {
	drawn := make(chan struct{}, 1)
	r := newLive(writer(func(p []byte) {
		if bytes.Contains(p, []byte("now")) {
			select {
			case drawn <- struct{}{}:
			default:
			}
		}
	}), style{color: true}, time.Now, func() int { return 80 })
	defer r.close()
	r.Step("Work").Detail("now")
	<-drawn // a frame shows the detail though nothing else happens
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestTable(t *testing.T) {
	c, out, _ := buffers()
	c.Heading("Cluster local")
	c.Table([]string{" ", "NAME", "STATE", "IMAGE"}, [][]string{
		{Good, "staging", "deployed", "localhost/app:1"},
		{Bad, "prodüction", "\x1b]0;title\x07failed", ""},
		{Warn, "日本", "", "x"},
	})
	c.Line(Warn, "one thing")
	golden(t, "table.golden", out.String())
}

func TestJSONIsNotMadeForHTML(t *testing.T) {
	c, out, _ := buffers()
	if err := c.JSON(map[string]string{"a": "<b>"}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "{\n  \"a\": \"<b>\"\n}\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestErrorsHaveTheirHintOnALineOfItsOwn(t *testing.T) {
	c, out, errs := buffers()
	c.Error(fault.WithHint(errors.New("no \x1b[31mcluster\nsecond line"), "berth init"))
	if got, want := errs.String(), "error: no cluster\nsecond line\nhint: berth init\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if out.Len() > 0 {
		t.Errorf("stdout has %q", out)
	}
}

func TestColoursAreForTerminalsAlone(t *testing.T) {
	c, out, errs := buffers()
	c.Heading("Cluster")
	c.Line(Good, "fine")
	c.Error(errors.New("bad"))
	c.ClearScreen()
	c.Reporter().Step("Work").End(nil)
	if text := out.String() + errs.String(); strings.Contains(text, "\x1b") {
		t.Errorf("escape sequences in %q", text)
	}
	if painted := (style{color: true}).bad("bad"); !strings.Contains(painted, "\x1b[") {
		t.Errorf("no colour in %q", painted)
	}
}

func TestQuestions(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false, "yep\n": false} {
		c, _, errs := buffers()
		c.In = strings.NewReader(answer)
		got, err := c.Confirm(t.Context(), "Sure?")
		if err != nil || got != want || errs.String() != "Sure? [y/N] " {
			t.Errorf("%q: got %v, %v, prompt %q", answer, got, err, errs)
		}
	}
	for answer, want := range map[string]bool{"local\n": true, " local \n": true, "yes\n": false} {
		c, _, _ := buffers()
		c.In = strings.NewReader(answer)
		if got, err := c.Type(t.Context(), "local"); err != nil || got != want {
			t.Errorf("%q: got %v, %v", answer, got, err)
		}
	}
}

func TestAQuestionEndsWithItsContext(t *testing.T) {
	c, _, _ := buffers()
	silent, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer end.Close()
	c.In = silent
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Confirm(ctx, "Sure?"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.In = strings.NewReader("")
	if _, err := c.Confirm(t.Context(), "Sure?"); err == nil {
		t.Error("the end of input was taken for an answer")
	}
}
