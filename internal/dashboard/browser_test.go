package dashboard

import (
	"bytes"
	"flag"
	"fmt"
	"image/png"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/browsertest"
)

var update = flag.Bool("update", false, "write the pictures that docs/pictures has")

// pictures is where the documentation has them.
const pictures = "../../docs/pictures"

// browser is Chromium on a dashboard.
type browser struct {
	*server
	*browsertest.Page
	fake *fake
}

// browse starts both, on a day that is always the same.
func browse(t *testing.T) *browser {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 26, 14, 3, 0, 0, time.Local)
	b := &browser{fake: newFake(now)}
	app := application
	app.Metrics = true
	b.server = newServer(app, b.fake, listener.Addr().String())
	b.now = func() time.Time { return now }
	b.tasks.ctx = t.Context()
	h := &http.Server{Handler: b.server}
	go h.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { h.Close() })
	b.Page = browsertest.Start(t)
	b.Window(t, 1280, 860, "light")
	b.Open(t, b.guard.address(), "47m CPU, 186 MiB")
	return b
}

// opens goes to a page and waits for a text.
func (b *browser) opens(t *testing.T, path, want string) {
	t.Helper()
	b.Open(t, "http://"+b.guard.host+b.guard.path+path, want)
}

// unharmed checks that no script ran but the dashboard's own, and that nothing was
// asked for elsewhere.
func (b *browser) unharmed(t *testing.T) {
	t.Helper()
	b.Is(t, "no hostile text ran", "window.__hacked === undefined")
	b.Unharmed(t, b.guard.host)
}

func TestInChromium(t *testing.T) {
	b := browse(t)
	t.Run("EveryView", b.testViews)
	t.Run("Logs", b.testLogs)
	t.Run("Hostile", b.testHostile)
	t.Run("Pictures", b.testPictures)
	t.Run("Keyboard", b.testKeyboard)
	t.Run("Rollback", b.testRollback)
	t.Run("Away", b.testAway)
}

func (b *browser) testViews(t *testing.T) {
	b.Is(t, "the token is out of sight", fmt.Sprintf("!location.href.includes(%q)", b.guard.token))
	for path, want := range map[string]string{
		"/": "47m CPU, 186 MiB", "/environments/production": "conduit-7d9c6b-m8v2t", "/environments/production/revisions/13": "CrashLoopBackOff",
		"/environments/production/logs": "7 lines, and those to come", "/backups": "20261124_170233_77be", "/nodes": "48,211", "/alerts": "91 % full",
		"/environments/production/rollback?revision=14": "feed: page through articles", "/environments/staging/restart": "Restart staging?",
	} {
		b.opens(t, path, want)
		b.Is(t, path+" has landmarks and one heading", `document.querySelectorAll("h1").length === 1 && document.querySelectorAll("main, header.top, nav[aria-label]").length >= 3`)
		b.Is(t, path+" has names for its fields", `[...document.querySelectorAll("input:not([type=hidden]), select")].every((e) => e.labels.length > 0)`)
	}
	b.unharmed(t)
}

func (b *browser) testLogs(t *testing.T) {
	b.opens(t, "/environments/production/logs", "7 lines, and those to come")
	b.fake.write(lineAt(b.now(), "conduit-7d9c6b-m8v2t", `{"level":"INFO","msg":"it has just come"}`))
	b.Shows(t, "it has just come")
	b.Is(t, "no line was lost or doubled", `document.querySelectorAll(".line").length === 8`)

	// What is paused arrives later.
	b.Click(t, "#hold")
	b.fake.write(lineAt(b.now(), "conduit-7d9c6b-m8v2t", "held back"))
	b.Shows(t, "Paused; new lines wait")
	b.Is(t, "it is held back", `!document.getElementById("log").textContent.includes("held back")`)
	b.Click(t, "#hold")
	b.Shows(t, "held back")

	// A search goes on with what comes, without a reload.
	b.Is(t, "the day is chosen", `window.same = true; document.querySelector("[name=since]").value = "24h"; true`)
	b.Type(t, "[name=search]", "pod that is gone\r")
	b.Shows(t, "no such table: articles")
	b.Shows(t, "lines of pods that are gone come from the archive")
	b.Is(t, "only that is found", `document.querySelectorAll(".line").length === 1 && window.same && location.search.includes("search=pod")`)
	b.fake.write(lineAt(b.now(), "p", "not wanted"))
	b.fake.write(lineAt(b.now(), "p", "another of a pod that is gone"))
	b.Shows(t, "another of a pod that is gone")
	b.Is(t, "what is not wanted does not come", `document.querySelectorAll(".line").length === 2`)

	b.opens(t, "/environments/production/logs?level=error", "2 lines, and those to come")
	b.opens(t, "/environments/production/logs?search=%28", "is not a regular expression")
	b.opens(t, "/environments/production/revisions/13", "Its first logs")
	b.Click(t, `a[href*="between"]`)
	b.Until(t, `document.getElementById("between") && !document.getElementById("between").hidden`)
	b.unharmed(t)
}

// A line, a commit's message and a name that are HTML stay text.
func (b *browser) testHostile(t *testing.T) {
	b.opens(t, "/environments/production/logs", "7 lines, and those to come")
	b.fake.write(lineAt(b.now(), hostile, `{"level":"<b>x</b>","msg":"a hostile line","x":"<img src=x onerror=window.__hacked=3>"}`))
	b.fake.write(lineAt(b.now(), "p", hostile+"\u2028data: x\n\nevent: end\ndata: {}"))
	b.Shows(t, "a hostile line")
	b.Shows(t, hostile)
	b.Is(t, "lines stay text", `document.querySelectorAll("#log img, #log script, #log b").length === 0`)
	b.opens(t, "/environments/production/revisions/14", hostile)
	b.Is(t, "the message stays text", `document.querySelectorAll("main img, main script").length === 0`)
	b.unharmed(t)
	// Were it to become HTML after all, the policy would still refuse to run it.
	b.Is(t, "HTML is put in", `document.querySelector("main").insertAdjacentHTML("beforeend", '<img id="bad" src="none" onerror="window.__hacked=4">'); true`)
	b.Until(t, `document.getElementById("bad").complete`)
	b.Is(t, "the policy holds", "window.__hacked === undefined")
	b.Forgive()
}

func (b *browser) testRollback(t *testing.T) {
	b.opens(t, "/environments/production", "conduit-7d9c6b-m8v2t")
	b.Shows(t, "c0ffee0011")
	b.Click(t, `a[href$="revision=12"]`)
	b.Shows(t, "Roll production back to revision 12?")
	if len(b.fake.made()) > 0 {
		t.Fatalf("it has not been asked: %v", b.fake.made())
	}
	b.Click(t, "button.danger")
	b.Shows(t, "production serves what revision 12 was, as revision 15.")
	if got := fmt.Sprint(b.fake.made()); got != "[rollback production to 12]" {
		t.Error(got)
	}
	b.opens(t, "/environments/production/restart", "Restart production?")
	b.Click(t, "button.danger")
	b.Shows(t, "production serves revision 14 with new pods.")
	b.unharmed(t)
}

// Everything can be reached by the Tab key, the content at once.
func (b *browser) testKeyboard(t *testing.T) {
	b.opens(t, "/environments/production/logs", "lines, and those to come")
	b.Type(t, "", "\t")
	b.Is(t, "the first is the way to the content", `document.activeElement.className === "skip" && document.activeElement.getBoundingClientRect().left >= 0`)
	b.Type(t, "", "\r")
	b.Until(t, `document.activeElement.id === "main"`)
	var reached []string
	for range 8 {
		b.Type(t, "", "\t")
		reached = append(reached, b.Text(t, `document.activeElement.name || document.activeElement.id || document.activeElement.textContent`))
	}
	if got := strings.Join(reached, " "); got != "Overview Logs search level since Show hold log" {
		t.Errorf("reached %s", got)
	}
	// A part that comes again leaves the focus where it is.
	b.opens(t, "/environments/production", "conduit-7d9c6b-m8v2t")
	b.Is(t, "the focus is set", `document.querySelector('main dl a[href$="revisions/14"]').focus(); true`)
	b.fake.mu.Lock()
	b.fake.environments[1].Ready = 1
	b.fake.mu.Unlock()
	b.Shows(t, "1 of 2 ready")
	b.Is(t, "the focus stays", `document.activeElement.href.endsWith("revisions/14")`)
}

func (b *browser) testAway(t *testing.T) {
	b.fake.mu.Lock()
	b.fake.away = errAway
	b.fake.mu.Unlock()
	b.opens(t, "/", "the cluster is not up")
	b.Shows(t, "berth up")
	b.opens(t, "/backups", "20261124_170233_77be")
	b.unharmed(t)
}

// testPictures looks at each view at two widths and in both themes. Of the pictures,
// docs/pictures keeps some.
func (b *browser) testPictures(t *testing.T) {
	folder := os.Getenv("BERTH_PICTURES") // to look at all of them
	if folder == "" {
		folder = t.TempDir()
	}
	for name, view := range map[string]struct{ path, want string }{
		"environments": {"/", "47m CPU, 186 MiB"}, "environment": {"/environments/production", "Answered 5xx"},
		"revision": {"/environments/production/revisions/13", "CrashLoopBackOff"}, "logs": {"/environments/production/logs", "7 lines, and those to come"},
		"backups": {"/backups", "20261124_170233_77be"}, "nodes": {"/nodes", "48,211"}, "alerts": {"/alerts", "91 % full"},
		"rollback": {"/environments/production/rollback?revision=11", "1f0c7a2b94d8e35c60a7f1b2c3d4e5f60718293a"},
	} {
		b.opens(t, view.path, view.want)
		b.Until(t, `!document.querySelector(".waiting")`)
		for _, window := range []struct {
			name          string
			width, height int64
		}{{"wide", 1280, 860}, {"narrow", 390, 844}} {
			for _, theme := range []string{"light", "dark"} {
				b.Window(t, window.width, window.height, theme)
				b.Is(t, name+" fits", `document.documentElement.scrollWidth <= innerWidth`)
				picture := b.Picture(t)
				size, err := png.DecodeConfig(bytes.NewReader(picture))
				if err != nil || size.Width != int(window.width) || size.Height != int(window.height) {
					t.Errorf("%s: %+v, %v", name, size, err)
				}
				file := fmt.Sprintf("dashboard-%s-%s-%s.png", name, window.name, theme)
				places := []string{filepath.Join(folder, file)}
				if kept := filepath.Join(pictures, file); *update && exists(kept) {
					places = append(places, kept)
				}
				for _, place := range places {
					if err := os.WriteFile(place, picture, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	b.Window(t, 1280, 860, "light")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
