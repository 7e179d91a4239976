package alert

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

func TestURLsArePartedByBlanksAndCommas(t *testing.T) {
	for _, test := range []struct {
		text, names string
		port        int
	}{
		{"", "", 0},
		{" \n", "", 0},
		{"https://hooks.slack.com/services/T0/B0/x1", "hooks.slack.com", 443},
		{"http://alerts.internal:9000/hook", "alerts.internal", 9000},
		{"http://alerts.internal/hook", "alerts.internal", 80},
		{"slack://hook:T00000000-B00000000-XXXXXXXXXXXXXXXXXXXXXXXX@webhook", "slack", 443},
		{"discord://token@123456789", "discord", 443},
		{"ntfy://ntfy.sh/topic", "ntfy", 443},
		{"smtp://user:pass@mail.example.com:587/?from=a@example.com&to=b@example.com,c@example.com", "smtp", 587},
		{"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawA@telegram?chats=@one,@two", "telegram", 443},
		{"matrix://user:pass@matrix.example.com/?rooms=!a:example.com", "matrix", 443},
		{"discord://token@1 ntfy://ntfy.sh/topic", "discord ntfy", 443},
		{"discord://token@1,ntfy://ntfy.sh/topic", "discord ntfy", 443},
		{"discord://token@1,\n  ntfy://ntfy.sh/topic,", "discord ntfy", 443},
		{"discord://token@1 discord://token@1", "discord", 443},
	} {
		found, err := Parse(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		var names []string
		for _, d := range found {
			names = append(names, d.Name)
		}
		if got := strings.Join(names, " "); got != test.names {
			t.Errorf("%q: got %q, want %q", test.text, got, test.names)
		}
		if len(found) > 0 && found[0].Port() != test.port {
			t.Errorf("%q: its port is %d, want %d", test.text, found[0].Port(), test.port)
		}
	}
}

// A mistake is said by its place, and never quotes what may be a token.
func TestBadURLsAreOneClearError(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"sEcReT", "URL 1: it is not a URL"},
		{"discord://token@1 sEcReT", "URL 2: it is not a URL"},
		{"https:///sEcReT", "URL 1: it names no host"},
		{"https://ntfy.sh/sEcReT", "URL 1: a topic of ntfy is given as ntfy://ntfy.sh/TOPIC: it would show JSON"},
		{"https://ptb.discord.com/api/webhooks/1/sEcReT", "URL 1: a webhook of Discord is given as discord://TOKEN@ID, after https://discord.com/api/webhooks/ID/TOKEN"},
		{"slak://sEcReT", `URL 1: there is no service "slak"`},
		{"slack://sEcReT", "URL 1: it is not a URL of slack"},
		{"telegram://sEcReT", "URL 1: it is not a URL of telegram"},
		{"logger://", "URL 1: logger sends nothing"},
		{"matrix://sEcReT", "URL 1: it is not a URL of matrix, matrix://USER:PASSWORD@HOST/?rooms=…"},
		{"https://discord.com/api/webhooks/1/sEcReT", "URL 1: a webhook of Discord is given as discord://TOKEN@ID, after https://discord.com/api/webhooks/ID/TOKEN"},
		{"http://a\x7fb/sEcReT", "URL 1: it is not a URL"},
	} {
		_, err := Parse(test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: the error is %v, want %s", test.text, err, test.want)
		}
		if !strings.Contains(fault.Hint(err), "docs/alerts.md") {
			t.Errorf("%q: there is no hint", test.text)
		}
	}
}

func TestStrangersTextHasNoPower(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"panic: nil map", "panic: nil map"},
		{"hello @everyone", "hello @" + joiner + "everyone"},
		{"<!channel> <@U123> <https://evil.example|login>", "‹!channel› ‹@" + joiner + "U123› ‹https://evil.example|login›"},
		{"[login](https://evil.example)", "[login] (https://evil.example)"},
		{"[x]: https://evil.example", "[x] : https://evil.example"},
		{"``` **free** ```", "''' **free** '''"},
		{"<b>bold</b>", "‹b›bold‹/b›"},
		{"\x1b[31mred\x1b[0m\ttab\r", "red tab"},
		{"to: \u202egnp.exe", "to: gnp.exe"},
		{"a\nb\x00c", "a\nbc"},
		{"\xff", "\ufffd"},
	} {
		if got := Plain(test.text); got != test.want {
			t.Errorf("%q became %q, want %q", test.text, got, test.want)
		}
	}
}

// FuzzPlain looks for text that can still call somebody or be a tag.
func FuzzPlain(f *testing.F) {
	f.Add("@everyone <!channel> [a](b) ```")
	f.Fuzz(func(t *testing.T, text string) {
		got := Plain(text)
		for _, power := range []string{"<", ">", "`", "](", "\x1b", "\r", "@everyone", "@channel"} {
			if strings.Contains(got, power) {
				t.Errorf("%q became %q, which has %q", text, got, power)
			}
		}
		if strings.Count(got, "\n") != strings.Count(strings.ToValidUTF8(text, "\ufffd"), "\n") && !strings.Contains(text, "\x1b") && !strings.Contains(text, "\u009b") {
			t.Errorf("%q became %q, with other lines", text, got)
		}
	})
}

// A POST that is redirected as a GET has told nobody.
func TestAMessageThatIsRedirectedIsNotTaken(t *testing.T) {
	taken := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/new", func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			taken++
		}
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		mux.Handle(fmt.Sprintf("/%d", code), http.RedirectHandler("/new", code))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for _, test := range []struct {
		code  int
		taken bool
	}{{301, false}, {302, false}, {303, false}, {307, true}, {308, true}} {
		taken = 0
		all, err := Parse(fmt.Sprintf("%s/%d", server.URL, test.code))
		if err != nil {
			t.Fatal(err)
		}
		err = all[0].Send(t.Context(), Message{Title: "a"})
		if (err == nil) != test.taken || (taken == 1) != test.taken {
			t.Errorf("%d: %v, and it was taken %d times", test.code, err, taken)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Second, "0": 0, "999999999": 24 * time.Hour, "Thu, 01 Jan 2026 12:01:00 GMT": time.Minute, "Thu, 01 Jan 2026 11:00:00 GMT": 0,
		"": 0, "-1": 0, "soon": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// Errors of a service name its status, and nothing of the URL that is secret.
func TestErrorsHaveNothingOfTheURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	address := strings.TrimPrefix(server.URL, "http://")
	away := httptest.NewServer(nil)
	gone := strings.TrimPrefix(away.URL, "http://")
	away.Close()
	t.Cleanup(server.Close)
	for _, test := range []struct{ url, want string }{
		{"http://" + address + "/services/sEcReTtoken?key=sEcReTkey", "403"},
		{"http://" + gone + "/services/sEcReTtoken", "refused"},
		{"generic://" + address + "/sEcReTtoken?disabletls=yes", "403"},
		{"ntfy://sEcReTuser:sEcReTpass@" + gone + "/sEcReTtopic?scheme=http", "refused"},
		{"gotify://" + gone + "/AsEcReTtokenXY.?disabletls=yes", ""},
	} {
		found, err := Parse(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		err = found[0].Send(t.Context(), Message{Title: "a test"})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "sEcReT") {
			t.Errorf("%s: the error is %v, want %q in it", test.url, err, test.want)
		}
	}
}

func TestLettersOfDestinationsThatAreNoMoreGo(t *testing.T) {
	to, err := Parse("ntfy://ntfy.sh/topic")
	if err != nil {
		t.Fatal(err)
	}
	o := Outbox{Destinations: to}
	o.Load([]Letter{
		{Message: Message{Title: "kept"}, To: []string{"0000", to[0].ID}},
		{Message: Message{Title: "gone"}, To: []string{"0000"}},
	})
	want := []Letter{{Message: Message{Title: "kept"}, To: []string{to[0].ID}}}
	if diff := cmp.Diff(want, o.Waiting()); diff != "" {
		t.Error(diff)
	}
}
