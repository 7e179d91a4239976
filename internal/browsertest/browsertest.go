// Package browsertest gives tests a real Chromium with one page. It records the page's
// requests and errors. It needs Debian's package chromium.
package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Page is the page of a browser. What cannot be done ends the test it is done for.
type Page struct {
	ctx context.Context

	mu           sync.Mutex
	asked, wrong []string
}

// patience bounds each thing that a page is to do.
const patience = 30 * time.Second

// Start starts Chromium for as long as the test goes on.
func Start(t *testing.T) *Page {
	t.Helper()
	// One that is killed leaves folders there. What still writes may keep some of it.
	scratch, err := os.MkdirTemp("", "browsertest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(scratch) }) //nolint:errcheck // as said
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("force-color-profile", "srgb"), chromedp.Env("TMPDIR="+scratch))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root has none of
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	p := &Page{}
	quiet := func(string, ...any) {} // It tells of events that are newer than it is.
	ctx, end := chromedp.NewContext(allocated, chromedp.WithErrorf(quiet), chromedp.WithListener(p.hear))
	t.Cleanup(end)
	p.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium, of Debian's package chromium: %v", err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// hear takes the events of the page.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.wrong = append(p.wrong, fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.URL, ":", e.ExceptionDetails.LineNumber))
	case *runtime.EventConsoleAPICalled:
		for _, argument := range e.Args {
			p.wrong = append(p.wrong, string(argument.Value))
		}
	}
}

func do[T any](t *testing.T, p *Page, what string, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, action)
	if err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		t.Fatalf("%s: %v; the page says:\n%s", what, err, text)
	}
	return got
}

// Open opens an address and waits for a text on its page.
func (p *Page) Open(t *testing.T, address, want string) {
	t.Helper()
	do(t, p, "open "+address, chromedp.Navigate(address))
	p.Shows(t, want)
}

// Shows waits until the page has a text.
func (p *Page) Shows(t *testing.T, want string) {
	t.Helper()
	p.Until(t, fmt.Sprintf("document.body.innerText.includes(%s)", quote(want)))
}

// Until waits until a script gives true, on this page or the one that it leads to.
func (p *Page) Until(t *testing.T, script string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		yes, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](script))
		if yes && err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			t.Fatalf("wait for %s: %v; the page says:\n%s", script, err, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Is checks that a script gives true now.
func (p *Page) Is(t *testing.T, what, script string) {
	t.Helper()
	if !do(t, p, what, chromedp.Evaluate[bool](script)) {
		t.Errorf("%s: this is not true: %s", what, script)
	}
}

// Text returns the result of a script as text.
func (p *Page) Text(t *testing.T, script string) string {
	t.Helper()
	return do(t, p, script, chromedp.Evaluate[string](script))
}

// Click clicks on the first element that a CSS selector matches.
func (p *Page) Click(t *testing.T, selector string) {
	t.Helper()
	do(t, p, "click on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type types keys into an element, or where the focus is.
func (p *Page) Type(t *testing.T, selector, keys string) {
	t.Helper()
	if selector == "" {
		do(t, p, "type", chromedp.KeyEvent(keys))
		return
	}
	do(t, p, "type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), keys))
}

// Window gives the window a size in pixels, and the theme "light" or "dark".
func (p *Page) Window(t *testing.T, width, height int64, theme string) {
	t.Helper()
	do(t, p, "size the window", chromedp.EmulateViewport(width, height))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
}

// Picture is the window as a PNG.
func (p *Page) Picture(t *testing.T) []byte {
	t.Helper()
	return do(t, p, "take a picture", chromedp.CaptureScreenshot())
}

// Unharmed checks that the page asked for something, for nothing at any other host, and
// that neither it nor the browser has complained.
func (p *Page) Unharmed(t *testing.T, host string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, address := range p.asked {
		// What a data: URL holds, as the icon of the browser's own calendar, comes from nowhere.
		if u, err := url.Parse(address); err != nil || u.Host != host && u.Scheme != "data" {
			t.Errorf("the page asked for %s", address)
		}
	}
	if len(p.asked) == 0 || len(p.wrong) > 0 {
		t.Errorf("%d requests; the browser complains of %q", len(p.asked), p.wrong)
	}
}

// Forgive forgets what was complained of.
func (p *Page) Forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = nil
}

// quote writes a text as JavaScript has it.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\u2028", `\u2028`).Replace(text) + `"`
}
