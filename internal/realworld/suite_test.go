package realworld_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"berth/internal/postgrestest"
	"berth/internal/realworld/api"
	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
	"berth/internal/realworld/token"
)

var postgres *postgrestest.Server

func TestMain(m *testing.M) { postgrestest.Main(m, &postgres) }

// databases are the kinds that every test of the API runs on, each as a maker
// of the URL of a new, empty one.
var databases = []struct {
	name string
	url  func(*testing.T) string
}{
	{"sqlite", func(t *testing.T) string { return "sqlite:///" + filepath.Join(t.TempDir(), "realworld.db") }},
	{"postgres", func(t *testing.T) string { return postgres.Database(t) }},
}

// onEach runs a test on every kind of database.
func onEach(t *testing.T, test func(t *testing.T, databaseURL string)) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) { test(t, database.url(t)) })
	}
}

var secret = []byte("only the tests know this secret, which is long enough")

// cheap keeps the tests quick: they are about the answers, not the hashes.
var cheap = password.Cost{Memory: 64, Passes: 1}

// A client talks to an API server of its own and checks every response against
// the OpenAPI document.
type client struct {
	*testing.T
	server *httptest.Server
	api    *api.Server
	store  *store.Store
	log    *locked
	tokens map[string]string // by username
	vars   map[string]string // what steps keep for later steps
}

func newClient(t *testing.T, databaseURL string, users ...string) *client {
	t.Helper()
	data, err := store.Open(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{T: t, store: data, log: &locked{to: new(bytes.Buffer)}, tokens: map[string]string{}, vars: map[string]string{}}
	log := slog.New(slog.NewJSONHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.api = api.New(data, password.NewPool(2, 16, cheap), signer, log, []string{"*"})
	c.server = httptest.NewServer(c.api)
	t.Cleanup(func() {
		c.server.Close()
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range users {
		c.register(name)
	}
	return c
}

// register makes a user whose email is name@example.com and whose password is
// "password".
func (c *client) register(name string) {
	c.Helper()
	response, body := c.send("", "POST /api/users",
		fmt.Sprintf(`{"user": {"username": %q, "email": "%s@example.com", "password": "password"}}`, name, name))
	if response.StatusCode != http.StatusCreated {
		c.Fatalf("register %s: %s: %s", name, response.Status, body)
	}
	c.tokens[name] = c.at(body, "user.token").(string)
}

// send makes a request as a user, "" for nobody, and returns the response.
func (c *client) send(as, request, body string) (*http.Response, []byte) {
	c.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(c.Context(), method, c.server.URL+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if as != "" {
		credential, ok := c.tokens[as]
		if !ok {
			c.Fatalf("no token of %q", as)
		}
		r.Header.Set("Authorization", "Token "+credential)
	}
	return c.exchange(r)
}

func (c *client) exchange(r *http.Request) (*http.Response, []byte) {
	c.Helper()
	response, err := c.server.Client().Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.Fatal(err)
	}
	if len(body) > 0 {
		if got := response.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
			c.Errorf("%s %s: Content-Type %q", r.Method, r.URL.Path, got)
		}
	}
	if err := specification.check(r.Method, r.URL.Path, response.StatusCode, body); err != nil {
		c.Errorf("%s %s: %s does not conform to the specification: %v\n%s", r.Method, r.URL.Path, response.Status, err, body)
	}
	return response, body
}

// locked makes a buffer fit for the goroutines of a server.
type locked struct {
	sync.Mutex
	to *bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.to.Write(b)
}

func (l *locked) String() string {
	l.Lock()
	defer l.Unlock()
	return l.to.String()
}

// at returns the member of a JSON value at a path such as "article.slug".
func (c *client) at(body []byte, path string) any {
	c.Helper()
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		c.Fatalf("%v in %s", err, body)
	}
	for part := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			c.Fatalf("no %s in %s", path, body)
		}
		value = object[part]
	}
	return value
}

// A step is a request and what must come back.
type step struct {
	as     string // who asks, "" for nobody
	do     string // method and path; {name} is what a step kept
	body   string
	status int
	// want is the whole response: a JSON value in which the strings "<time>",
	// "<token>", "<id>" and "<text>" stand for anything of that kind.
	want string
	keep string // name=path.in.response, for later steps
}

func (c *client) run(steps []step) {
	c.Helper()
	for i, s := range steps {
		for name, value := range c.vars {
			s.do = strings.ReplaceAll(s.do, "{"+name+"}", value)
			s.want = strings.ReplaceAll(s.want, "{"+name+"}", value)
		}
		response, body := c.send(s.as, s.do, s.body)
		if response.StatusCode != s.status {
			c.Fatalf("step %d: %s as %q with %s\n got %s: %s\nwant %d", i+1, s.do, s.as, s.body, response.Status, body, s.status)
		}
		if s.want == "" && len(body) > 0 && s.status == http.StatusNoContent {
			c.Errorf("step %d: %s: a body where none belongs: %s", i+1, s.do, body)
		}
		if s.want != "" {
			var got, want any
			if err := json.Unmarshal([]byte(s.want), &want); err != nil {
				c.Fatalf("step %d: want is not JSON: %v", i+1, err)
			}
			if err := json.Unmarshal(body, &got); err != nil {
				c.Fatalf("step %d: %s: response is not JSON: %v\n%s", i+1, s.do, err, body)
			}
			if difference := compare("", got, want); difference != "" {
				c.Errorf("step %d: %s as %q with %s\n%s\n got %s\nwant %s", i+1, s.do, s.as, s.body, difference, body, s.want)
			}
		}
		if name, path, ok := strings.Cut(s.keep, "="); ok {
			c.vars[name] = fmt.Sprint(c.at(body, path))
		}
	}
}

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$`)

// compare returns where got differs from want, or "".
func compare(path string, got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return path + " is no object"
		}
		for name := range object {
			if _, ok := want[name]; !ok {
				return path + "." + name + " should not be there"
			}
		}
		for name, value := range want {
			member, ok := object[name]
			if !ok {
				return path + "." + name + " is missing"
			}
			if difference := compare(path+"."+name, member, value); difference != "" {
				return difference
			}
		}
		return ""
	case []any:
		array, ok := got.([]any)
		if !ok || len(array) != len(want) {
			return fmt.Sprintf("%s is no array of %d", path, len(want))
		}
		for i := range want {
			if difference := compare(fmt.Sprintf("%s[%d]", path, i), array[i], want[i]); difference != "" {
				return difference
			}
		}
		return ""
	case string:
		text, isText := got.(string)
		number, isNumber := got.(float64)
		switch {
		case want == "<time>" && isText && timestamp.MatchString(text),
			want == "<token>" && isText && strings.Count(text, ".") == 2,
			want == "<text>" && isText && text != "",
			want == "<id>" && isNumber && number > 0 && number == float64(int64(number)):
			return ""
		}
	}
	if got != want {
		return fmt.Sprintf("%s is %v, want %v", path, got, want)
	}
	return ""
}
