package dashboard

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// visitor is a browser that was let in.
type visitor struct {
	*server
	fake   *fake
	cookie *http.Cookie
}

const host = "127.0.0.1:4711"

func visit(t *testing.T) *visitor {
	t.Helper()
	f := newFake(time.Now())
	s := newServer(application, f, host)
	s.tasks.ctx = t.Context()
	t.Cleanup(s.tasks.wait)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, request(http.MethodGet, s.guard.address(), nil))
	cookies := answer.Result().Cookies()
	if answer.Code != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("the token gives %d, %v", answer.Code, cookies)
	}
	return &visitor{s, f, cookies[0]}
}

// request is one as a server gets it.
func request(method, target string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Host = host
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+host)
	}
	return r
}

func (v *visitor) do(r *http.Request) *httptest.ResponseRecorder {
	r.AddCookie(v.cookie)
	answer := httptest.NewRecorder()
	v.ServeHTTP(answer, r)
	return answer
}

func (v *visitor) get(path string) *httptest.ResponseRecorder {
	return v.do(request(http.MethodGet, v.guard.path+path, nil))
}

func (v *visitor) post(path string, form url.Values) *httptest.ResponseRecorder {
	form.Set("form", v.guard.form)
	return v.do(request(http.MethodPost, v.guard.path+path, form))
}

func TestTheCookieIsForThisDashboardAlone(t *testing.T) {
	v := visit(t)
	if c := v.cookie; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != v.guard.path+"/" || c.Name != "berth-4711" {
		t.Errorf("%+v", c)
	}
	if strings.Contains(v.cookie.Value, v.guard.token) {
		t.Error("the cookie has the token")
	}
}

func TestWhoIsRefused(t *testing.T) {
	v := visit(t)
	type change func(*http.Request)
	with := func(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }
	named := func(host string) change { return func(r *http.Request) { r.Host = host } }
	without := with("Cookie", "")
	restart := "/environments/production/restart"
	good := url.Values{"form": {v.guard.form}}
	for _, c := range []struct {
		what, method, path string
		form               url.Values
		change             change
		status             int
	}{
		{"one with the cookie", "GET", "/nodes", nil, func(*http.Request) {}, 200},
		{"a link of the page's own", "GET", "/nodes", nil, with("Sec-Fetch-Site", "same-origin"), 200},
		{"one without", "GET", "/nodes", nil, without, 403},
		{"one with another", "GET", "/nodes", nil, with("Cookie", v.cookie.Name+"=guess"), 403},
		{"one with an empty one", "GET", "/nodes", nil, with("Cookie", v.cookie.Name+"="), 403},
		{"a wrong token", "GET", "/?token=guess", nil, without, 403},
		{"an empty token", "GET", "/?token=", nil, without, 403},
		{"the token elsewhere", "GET", "/nodes?token=" + v.guard.token, nil, without, 403},
		{"a style sheet without", "GET", "/static/style.css", nil, without, 403},
		{"a name that leads here", "GET", "/nodes", nil, named("evil.example:4711"), 403},
		{"another port", "GET", "/nodes", nil, named("127.0.0.1:80"), 403},
		{"localhost", "GET", "/nodes", nil, named("localhost:4711"), 403},
		{"a page of another port", "GET", "/nodes", nil, with("Sec-Fetch-Site", "same-site"), 403},
		{"a page of the Web", "GET", "/nodes", nil, with("Sec-Fetch-Site", "cross-site"), 403},
		{"a form of the page", "POST", restart, good, func(*http.Request) {}, 303},
		{"a form without its secret", "POST", restart, url.Values{}, func(*http.Request) {}, 403},
		{"a form with another", "POST", restart, url.Values{"form": {"guess"}}, func(*http.Request) {}, 403},
		{"a form of another page", "POST", restart, good, with("Origin", "https://evil.example"), 403},
		{"a form of another port", "POST", restart, good, with("Origin", "http://127.0.0.1:80"), 403},
		{"a form of nowhere", "POST", restart, good, with("Origin", "null"), 403},
		{"a form that does not say", "POST", restart, good, func(r *http.Request) { r.Header.Del("Origin") }, 403},
		{"a form without the cookie", "POST", restart, good, without, 403},
		{"a form that is too large", "POST", restart, url.Values{"x": {strings.Repeat("x", formLimit)}, "form": good["form"]}, func(*http.Request) {}, 403},
		{"another method", "DELETE", restart, nil, func(*http.Request) {}, 405},
		{"a form by GET", "GET", restart + "?form=" + v.guard.form, nil, func(*http.Request) {}, 200},
	} {
		v.fake.calls = nil
		r := request(c.method, v.guard.path+c.path, c.form)
		r.AddCookie(v.cookie)
		c.change(r)
		answer := httptest.NewRecorder()
		v.ServeHTTP(answer, r)
		v.tasks.wait()
		if answer.Code != c.status {
			t.Errorf("%s: %d: %s", c.what, answer.Code, answer.Body)
		}
		if done := len(v.fake.made()) > 0; done != (c.status == 303) {
			t.Errorf("%s: called %v", c.what, v.fake.made())
		}
		if answer.Header().Get("Content-Security-Policy") != policy || answer.Header().Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", c.what, answer.Header())
		}
		if strings.Contains(answer.Body.String(), v.guard.token) || strings.Contains(answer.Body.String(), v.guard.session) {
			t.Errorf("%s: the answer has a secret: %s", c.what, answer.Body)
		}
	}
	outside := httptest.NewRecorder()
	r := request(http.MethodGet, "/nodes", nil)
	r.AddCookie(v.cookie)
	if v.ServeHTTP(outside, r); outside.Code != http.StatusNotFound {
		t.Errorf("outside of its folder: %d", outside.Code)
	}
}
