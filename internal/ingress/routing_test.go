package ingress_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// namedBackend answers with its name and the request URI it got.
func namedBackend(t *testing.T, name string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, name, " ", r.RequestURI)
	}))
	t.Cleanup(server.Close)
	return address(server)
}

// plainClient follows no redirects.
var plainClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func get(t *testing.T, url, host string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := plainClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// TestRouting asks a real NGINX where requests go. The rows on Prefix and Exact
// are those of the table in the Kubernetes documentation.
func TestRouting(t *testing.T) {
	var o ingress.Objects
	for _, name := range []string{"a", "b", "c"} {
		addService(&o, name, namedBackend(t, name))
	}
	addService(&o, "empty")
	other := newIngress("other", "shared.example", "/below/the/other a")
	withDefault := newIngress("default", "default.example", "/a a")
	withDefault.Spec.DefaultBackend = new(backend("b"))
	unruled := newIngress("unruled", "")
	unruled.Spec.Rules = nil
	unruled.Spec.DefaultBackend = new(backend("c"))
	named := newIngress("named", "named.example", "/ a")
	named.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = 0
	named.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name = "http"
	o.Ingresses = append(o.Ingresses,
		newIngress("all", "all.example", "/ a"),
		newIngress("exact", "exact.example", "=/foo a", "=/slash/ b"),
		newIngress("prefix", "prefix.example", "/foo a", "/bar/ a", "/aaa/bbb b"),
		newIngress("both", "both.example", "/foo a", "=/foo b", "/ c"),
		newIngress("long", "long.example", "/ a", "/aaa b", "/aaa/ccc c"),
		newIngress("odd", "odd.example", "/a%20b a", "/caf%C3%A9 b", "/$uri c", "/q%22%7B;%7D%5C c"),
		newIngress("wild", "*.wild.example", "/ a"),
		newIngress("wilder", "one.wild.example", "/ b"),
		newIngress("none", "none.example", "/ empty", "/missing nowhere"),
		newIngress("shared", "shared.example", "/ b"),
		other, withDefault, unruled, named,
	)
	server := nginxtest.New(t)
	server.Serve(o)

	for _, test := range []struct {
		host, path string
		want       string // body, or status if the answer is NGINX's own
	}{
		{"all.example", "/", "a /"},
		{"all.example", "/any/path?q=1", "a /any/path?q=1"},
		{"ALL.EXAMPLE", "/", "a /"},
		{"all.example:8080", "/", "a /"},
		{"exact.example", "/foo", "a /foo"},
		{"exact.example", "/foo?q", "a /foo?q"},
		{"exact.example", "/bar", "404"},
		{"exact.example", "/foo/", "404"},
		{"exact.example", "/slash/", "b /slash/"},
		{"exact.example", "/slash", "404"},
		{"prefix.example", "/foo", "a /foo"},
		{"prefix.example", "/foo/", "a /foo/"},
		{"prefix.example", "/bar", "a /bar"},
		{"prefix.example", "/bar/baz", "a /bar/baz"},
		{"prefix.example", "/foobar", "404"},
		{"prefix.example", "/aaa/bb", "404"},
		{"prefix.example", "/aaa/bbb", "b /aaa/bbb"},
		{"prefix.example", "/aaa/bbb/ccc", "b /aaa/bbb/ccc"},
		{"prefix.example", "/aaa/bbbxyz", "404"},
		{"prefix.example", "/Foo", "404"},
		{"both.example", "/foo", "b /foo"},
		{"both.example", "/foo/", "a /foo/"},
		{"both.example", "/fo", "c /fo"},
		{"long.example", "/aaa/ccc", "c /aaa/ccc"},
		{"long.example", "/aaa/ccd", "b /aaa/ccd"},
		{"long.example", "/ccc", "a /ccc"},
		{"odd.example", "/a%20b/c", "a /a%20b/c"},
		{"odd.example", "/caf%c3%a9", "b /caf%c3%a9"},
		{"odd.example", "/$uri", "c /$uri"},
		{"odd.example", "/q%22%7b%3b%7d%5c", "c /q%22%7b%3b%7d%5c"},
		{"two.wild.example", "/", "a /"},
		{"one.wild.example", "/", "b /"},
		{"x.one.wild.example", "/", "c /"}, // one label only: nobody's host
		{"wild.example", "/", "c /"},
		{"a_b-1.wild.example", "/", "a /"},
		{"a%2e.wild.example", "/", "c /"}, // no label of a name
		{"none.example", "/", "503"},
		{"none.example", "/missing", "503"},
		{"shared.example", "/below", "b /below"},
		{"shared.example", "/below/the/other/one", "a /below/the/other/one"},
		{"default.example", "/a", "a /a"},
		{"default.example", "/z", "b /z"},
		{"unknown.example", "/", "c /"},
		{"named.example", "/", "a /"},
	} {
		response, got := get(t, "http://"+server.HTTP()+test.path, test.host)
		if response.StatusCode != http.StatusOK {
			got = fmt.Sprint(response.StatusCode)
		}
		if got != test.want {
			t.Errorf("%s%s: got %q, want %q", test.host, test.path, got, test.want)
		}
	}
}

// TestRewrites follows the examples of F5's documentation of nginx.org/rewrites.
func TestRewrites(t *testing.T) {
	var o ingress.Objects
	for _, name := range []string{"tea", "coffee", "cocoa", "web"} {
		addService(&o, name, namedBackend(t, name))
	}
	cafe := newIngress("cafe", "cafe.example", "/tea/ tea", "/coffee coffee", "=/cocoa cocoa", "/ web")
	annotate(cafe, ingress.AnnotationRewrites, "serviceName=tea rewrite=/;serviceName=coffee rewrite=/beans; serviceName=cocoa rewrite=/drink")
	o.Ingresses = append(o.Ingresses, cafe)
	server := nginxtest.New(t)
	if problems := server.Serve(o); len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, test := range []struct{ path, want string }{
		{"/tea/", "tea /"},
		{"/tea/abc?q=1", "tea /abc?q=1"},
		{"/tea/a%20b", "tea /a%20b"},
		{"/tea", "301 /tea/"},
		{"/coffee", "coffee /beans"},
		{"/coffee/abc", "coffee /beans/abc"},
		{"/coffeepot", "web /coffeepot"},
		{"/cocoa", "cocoa /drink"},
		{"/teapot", "web /teapot"},
	} {
		response, got := get(t, "http://"+server.HTTP()+test.path, "cafe.example")
		if response.StatusCode != http.StatusOK {
			got = fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location"))
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.path, got, test.want)
		}
	}
}
