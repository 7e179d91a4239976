package dashboard

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// guard lets in the browser that was given the address with the token, and nobody
// else: no other user of the machine, no page from elsewhere that the same browser
// shows, and no name that a stranger's DNS has for 127.0.0.1.
type guard struct {
	// host is the only Host, and with http:// the only Origin.
	host string
	// path is the folder of all pages. A browser sends cookies of 127.0.0.1 to every
	// port there, but none of another folder: a server of somebody else's does not
	// know which to ask for.
	path string
	// token is in the address that is opened, session in the cookie that is given for
	// it, and form in every form.
	token, session, form string
}

func newGuard(host string) guard {
	return guard{host: host, path: "/" + rand.Text()[:8], token: rand.Text(), session: rand.Text(), form: rand.Text()}
}

// address is the one to open.
func (g *guard) address() string {
	return "http://" + g.host + g.path + "/?" + url.Values{"token": {g.token}}.Encode()
}

// formLimit is how many bytes a form may have.
const formLimit = 1 << 14

// policy allows what the dashboard itself serves, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// protect hands requests on, below [guard.path], of those who may make them.
func (g *guard) protect(next http.Handler) http.Handler {
	next = http.StripPrefix(g.path, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer, for which browsers send the Origin "null".
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Host != g.host {
			refuse(w, "this server is "+g.host+" and no other")
			return
		}
		if token := r.URL.Query().Get("token"); token != "" && r.Method == http.MethodGet && r.URL.Path == g.path+"/" {
			g.welcome(w, token)
			return
		}
		cookie, err := r.Cookie(g.cookie())
		if err != nil || !same(cookie.Value, g.session) {
			refuse(w, "open the address that berth dashboard has printed")
			return
		}
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case site != "" && site != "same-origin" && site != "none":
			refuse(w, "the request comes from another page")
			return
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
		case r.Method != http.MethodPost:
			http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
			return
		case r.Header.Get("Origin") != "http://"+g.host:
			refuse(w, "the form comes from another page")
			return
		default:
			r.Body = http.MaxBytesReader(w, r.Body, formLimit)
			if !same(r.PostFormValue("form"), g.form) {
				refuse(w, "the form is of another run of berth dashboard: load the page again")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// cookie has the port in its name, as cookies of all ports share one jar.
func (g *guard) cookie() string {
	_, port, _ := net.SplitHostPort(g.host)
	return "berth-" + port
}

// welcome gives the cookie for the token. The page leads on by itself: a redirect
// would count as one from where the address was opened, and come without the cookie.
func (g *guard) welcome(w http.ResponseWriter, token string) {
	if !same(token, g.token) {
		refuse(w, "the token is of another run of berth dashboard: open the address that it has printed")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: g.cookie(), Value: g.session, Path: g.path + "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>berth</title><meta http-equiv="refresh" content="0; url=%s/"><a href="%s/">Go on</a></html>`, g.path, g.path)
}

func same(one, other string) bool { return subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1 }

func refuse(w http.ResponseWriter, why string) {
	http.Error(w, "403 forbidden: "+why, http.StatusForbidden)
}
