package ingress_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// directive is one directive of a configuration as the test's own reader sees
// it. The reader follows NGINX's rules and shares nothing with the renderer.
type directive struct {
	words []string
	body  []directive
	block bool
}

func readConfig(text string) ([]directive, error) {
	r := &configReader{text: text}
	all, err := r.directives(false)
	if err == nil && r.at < len(r.text) {
		err = errors.New("unexpected }")
	}
	return all, err
}

type configReader struct {
	text string
	at   int
}

func (r *configReader) directives(inner bool) (all []directive, err error) {
	var d directive
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			r.at++
		case c == '#':
			for r.at < len(r.text) && r.text[r.at] != '\n' {
				r.at++
			}
		case c == ';':
			r.at++
			all, d = append(all, d), directive{}
		case c == '{':
			r.at++
			d.block = true
			if d.body, err = r.directives(true); err != nil {
				return nil, err
			}
			all, d = append(all, d), directive{}
		case c == '}':
			if !inner || len(d.words) > 0 {
				return nil, errors.New("misplaced }")
			}
			r.at++
			return all, nil
		default:
			word, err := r.word()
			if err != nil {
				return nil, err
			}
			d.words = append(d.words, word)
		}
	}
	if inner || len(d.words) > 0 {
		return nil, errors.New("unexpected end")
	}
	return all, nil
}

func (r *configReader) word() (string, error) {
	var out strings.Builder
	quote := r.text[r.at]
	if quote != '"' && quote != '\'' {
		start := r.at
		for r.at < len(r.text) && strings.IndexByte(" \t\r\n;{", r.text[r.at]) < 0 {
			r.at++
		}
		if strings.ContainsAny(r.text[start:r.at], `"'\}#`) {
			return "", fmt.Errorf("bare word %q", r.text[start:r.at])
		}
		return r.text[start:r.at], nil
	}
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '\\' && r.at+1 < len(r.text):
			r.at++
			out.WriteByte(r.text[r.at])
		case c == quote:
			r.at++
			if r.at < len(r.text) && strings.IndexByte(" \t\r\n;{", r.text[r.at]) < 0 {
				return "", errors.New("a quoted word does not end at its quote")
			}
			return out.String(), nil
		default:
			out.WriteByte(c)
		}
	}
	return "", errors.New("unterminated quote")
}

// shape is the configuration without what the words after the first say. The
// first word of a row of a map is none of NGINX's either.
func shape(all []directive) string { return shapeOf(all, false) }

func shapeOf(all []directive, rows bool) string {
	var out strings.Builder
	for _, d := range all {
		name := d.words[0]
		if rows {
			name = "row"
		}
		fmt.Fprintf(&out, "%s/%d", name, len(d.words))
		if d.block {
			out.WriteString("{" + shapeOf(d.body, d.words[0] == "map") + "}")
		}
		out.WriteByte(' ')
	}
	return out.String()
}

func walk(all []directive, visit func(directive)) {
	for _, d := range all {
		visit(d)
		walk(d.body, visit)
	}
}

// saying is what a fuzzed Ingress says.
type saying struct {
	host, path, service, port, rewrite, size, timeout, trusted, tlsHost, secret string
	exact                                                                       bool
}

func (s saying) objects() ingress.Objects {
	var o ingress.Objects
	addService(&o, "web", "10.0.0.1:80")
	kind := networkingv1.PathTypePrefix
	if s.exact {
		kind = networkingv1.PathTypeExact
	}
	ing := newIngress("fuzz", s.host)
	b := backend(s.service)
	if s.port != "" {
		b.Service.Port = networkingv1.ServiceBackendPort{Name: s.port}
	}
	ing.Spec.Rules[0].HTTP.Paths = []networkingv1.HTTPIngressPath{{Path: s.path, PathType: &kind, Backend: b}}
	for key, value := range map[string]string{
		ingress.AnnotationRewrites: s.rewrite, ingress.AnnotationMaxBodySize: s.size,
		ingress.AnnotationReadTimeout: s.timeout, ingress.AnnotationTrustedSecret: s.trusted,
	} {
		if value != "" {
			annotate(ing, key, value)
		}
	}
	if s.trusted != "" {
		annotate(ing, ingress.AnnotationSSLServices, s.service)
	}
	if s.tlsHost != "" || s.secret != "" {
		withTLS(ing, s.secret, s.tlsHost)
	}
	o.Ingresses = append(o.Ingresses, ing)
	return o
}

var (
	notSlash  = regexp.MustCompile(`[^/]+`)
	notDot    = regexp.MustCompile(`[^.*]+`)
	variables = regexp.MustCompile(`\$\{?[A-Za-z_{][A-Za-z0-9_]*`)
)

// harmless returns what the Ingress would say if its author meant well: the
// same form, with an x for every part.
func (s saying) harmless() saying {
	s.host, s.tlsHost = notDot.ReplaceAllString(s.host, "x"), tlsTwin(s)
	s.path = notSlash.ReplaceAllString(s.path, "x")
	if at := strings.LastIndex(s.rewrite, "="); at >= 0 {
		s.rewrite = s.rewrite[:at+1] + notSlash.ReplaceAllString(s.rewrite[at+1:], "x")
	}
	return s
}

// closedTwin returns a harmless Ingress that is closed, and of which as much is
// known as a model knows of this one.
func (s saying) closedTwin(model *ingress.Model) ingress.Objects {
	at := slices.IndexFunc(model.Hosts, func(h ingress.Host) bool { return h.Name == s.host })
	s = s.harmless()
	s.rewrite, s.size, s.timeout, s.trusted = "", "", "", ""
	twin := s.objects()
	annotate(twin.Ingresses[0], "nginx.org/policies", "x")
	switch {
	case at < 0:
		twin.Ingresses = nil
	case !slices.ContainsFunc(model.Hosts[at].Locations, func(l ingress.Location) bool { return l.Status == 503 }):
		twin.Ingresses[0].Spec.Rules[0].HTTP.Paths = nil
	}
	return twin
}

// tlsTwin keeps whether the TLS host covers the rule's host.
func tlsTwin(s saying) string {
	if s.tlsHost == s.host {
		return notDot.ReplaceAllString(s.host, "x")
	}
	_, parent, _ := strings.Cut(s.host, ".")
	if s.tlsHost == "*."+parent {
		return "*." + notDot.ReplaceAllString(parent, "x")
	}
	return "elsewhere"
}

var seeds = []saying{
	{host: "web.example", path: "/", service: "web"},
	{host: "*.example", path: "/a/b/", service: "web", exact: true},
	{host: "", path: "/$uri/", service: "web", exact: true, rewrite: "serviceName=web rewrite=/x"},
	{host: "a; } server { listen 1; #", path: "/", service: "web"},
	{host: "~.*", path: "/", service: "web"},
	{host: "web.example", path: `/"; return 200 "`, service: "web"},
	{host: "web.example", path: "/%22;%20return%20200%20%22", service: "web"},
	{host: "web.example", path: "/%5C%22%7B", service: "web"},
	{host: "web.example", path: "/a%0Ab%00", service: "web"},
	{host: "web.example", path: "/x'#;$${host}", service: "web"},
	{host: "web.example", path: "/%5C", service: "web", exact: true},
	{host: "web.example", path: "~ ^/", service: "web"},
	{host: "web.example", path: "/a", service: "web; }", port: "http"},
	{host: "web.example", path: "/a", service: "web", port: "http; }"},
	{host: "web.example", path: "/a", service: "web", rewrite: "serviceName=web rewrite=/$request_uri"},
	{host: "web.example", path: "/a/", service: "web", rewrite: "serviceName=web rewrite=/b;}"},
	{host: "web.example", path: "/a", service: "web", size: "1m; x", timeout: "1s"},
	{host: "web.example", path: "/a", service: "web", size: "1m", timeout: "1s\n}"},
	{host: "web.example", path: "/a", service: "web", trusted: "../../etc/shadow"},
	{host: "a.b.example", path: "/a", service: "web", tlsHost: "*.b.example", secret: "missing"},
	{host: "web.example", path: "/a", service: "web", tlsHost: "web.example", secret: "$(id); }"},
	{host: "web.example", path: "/" + strings.Repeat("%22", 400), service: "web"},
}

// FuzzRender checks that whatever an Ingress says, the configuration has the
// directives that a harmless Ingress of the same form has, or none of its own.
func FuzzRender(f *testing.F) {
	for _, s := range seeds {
		f.Add(s.host, s.path, s.service, s.port, s.rewrite, s.size, s.timeout, s.trusted, s.tlsHost, s.secret, s.exact)
	}
	render := func(t *testing.T, o ingress.Objects) (*ingress.Model, []ingress.Problem, []directive) {
		model, problems := ingress.Build(o, goldenSettings())
		all, err := readConfig(string(model.Render()))
		if err != nil {
			t.Fatalf("the configuration cannot be read: %v\n%s", err, model.Render())
		}
		return model, problems, all
	}
	known := map[string]bool{"$": true}
	benign, _ := ingress.Build(saying{host: "x", path: "/", service: "web"}.objects(), goldenSettings())
	for _, v := range variables.FindAllString(string(benign.Render()), -1) {
		known[v] = true
	}
	known["$host"], known["$request_uri"] = true, true // of redirects

	f.Fuzz(func(t *testing.T, host, path, service, port, rewrite, size, timeout, trusted, tlsHost, secret string, exact bool) {
		s := saying{host, path, service, port, rewrite, size, timeout, trusted, tlsHost, secret, exact}
		model, problems, got := render(t, s.objects())
		leftOut := slices.ContainsFunc(problems, ingress.Problem.LeftOut)
		twin := s.harmless().objects()
		if leftOut {
			twin.Ingresses = nil
		}
		closed := slices.ContainsFunc(problems, func(p ingress.Problem) bool { return strings.HasSuffix(p.Message, "answer 503") })
		if closed {
			twin = s.closedTwin(model)
		}
		_, twinProblems, want := render(t, twin)
		if !closed && slices.ContainsFunc(twinProblems, ingress.Problem.LeftOut) {
			t.Fatalf("%+v was served, but not its harmless twin: %v", s, twinProblems)
		}
		if got, want := shape(got), shape(want); got != want {
			t.Errorf("%+v:\ngot  %s\nwant %s", s, got, want)
		}

		paths := map[string]bool{
			"/": true, "/generation": true, "/stub_status": true, "/endpoints": true, "/counts": true, "@again": true, "@unavailable": true,
			"/.well-known/acme-challenge/": true,
		}
		for _, h := range model.Hosts {
			for _, l := range h.Locations {
				paths[l.Path] = true
			}
		}
		walk(got, func(d directive) {
			last := d.words[len(d.words)-1]
			if d.words[0] == "location" {
				if !paths[last] {
					t.Errorf("%+v: location %q is not in the model", s, last)
				}
				return
			}
			if d.words[0] == "server_name" || d.words[0] == "log_format" {
				return
			}
			for _, word := range d.words {
				for _, v := range variables.FindAllString(word, -1) {
					if !known[v] {
						t.Errorf("%+v: variable %s in %v", s, v, d.words)
					}
				}
			}
		})
	})
}

// optional are the directives that an annotation may add, or whose words it may
// change.
var optional = regexp.MustCompile(`^((proxy|grpc|client|limit_req|auth_basic|header_filter)_[a-z_]+|limit_req|auth_basic|allow|deny|set|if|add_header|upstream|return|rewrite)$`)

// keys are the variables that an annotation may name.
var keys = regexp.MustCompile(`^\$\{?(binary_remote_addr|remote_addr|request_uri|request_method|uri|host|(http|arg|cookie)_[a-z0-9_]+)$`)

// strip leaves out what an annotation may add.
func strip(all []directive) (rest []directive) {
	for _, d := range all {
		if optional.MatchString(d.words[0]) || d.words[0] == "location" && strings.Join(d.words[1:], " ") == "= /" {
			continue
		}
		d.body = strip(d.body)
		rest = append(rest, d)
	}
	return rest
}

// FuzzAnnotations checks, for each annotation that is honoured, that whatever it
// says adds nothing but its own directives, in which no word is more than text.
func FuzzAnnotations(f *testing.F) {
	names := ingress.AnnotationNames()
	for i := range names {
		for _, value := range []string{
			"true", "1", "8m", "1h30m", "web", "10r/s", "serviceName=web rewrite=/x", "serviceName=web srv_id path=/ expires=1h", "10.0.0.0/8", "308", "${uri}",
			"X-One:two", "X-One", "8 4k", "error timeout", "/start", "info", "x; } server { listen 1; #", "\"; return 200 \"", "$host", "1\n}", "X-One:a\"; }", "a{b",
			"cookie", "https://new.test$request_uri", "https://new.test/\"; }", "/a/$1", "https",
		} {
			f.Add(i, value)
		}
	}
	// Of a server and a location of their own.
	tree := func(t *testing.T, key, value string) (*ingress.Model, []directive) {
		var o ingress.Objects
		addService(&o, "web", "10.0.0.1:80")
		o.Ingresses = append(o.Ingresses, annotate(annotate(newIngress("fuzz", "web.test", "=/x web"), "nginx.org/server-tokens", "false"), key, value))
		model, _ := ingress.Build(o, goldenSettings())
		all, err := readConfig(string(model.Render()))
		if err != nil {
			t.Fatalf("%s: %q: the configuration cannot be read: %v\n%s", key, value, err, model.Render())
		}
		return model, all
	}
	f.Fuzz(func(t *testing.T, index int, value string) {
		if index < 0 || index >= len(names) {
			return
		}
		_, base := tree(t, "example.com/none", "")
		_, shut := tree(t, "nginx.org/policies", "x")
		model, got := tree(t, names[index], value)
		want := base
		if len(model.Hosts) == 1 {
			_, want = tree(t, "nginx.ingress.kubernetes.io/canary", "true")
		}
		for _, h := range model.Hosts {
			if h.Name == "web.test" && h.Locations[0].Backend == "" {
				want = shut
			}
		}
		if got, want := shape(strip(got)), shape(strip(want)); got != want {
			t.Errorf("%s: %q:\ngot  %s\nwant %s", names[index], value, got, want)
		}
		usual := map[string]bool{}
		for _, all := range [][]directive{base, shut} {
			walk(all, func(d directive) {
				for _, word := range d.words {
					usual[word] = true
				}
			})
		}
		for _, word := range []string{"$hsts", "$sticky", "$sticky_attributes", "($https)", "($http_x_forwarded_proto", "https://$host:8443$request_uri"} {
			usual[word] = true
		}
		walk(got, func(d directive) {
			for _, word := range d.words {
				if usual[word] {
					continue
				}
				if strings.IndexFunc(word, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
					t.Errorf("%s: %q: word %q", names[index], value, word)
				}
				for _, v := range variables.FindAllString(word, -1) {
					if !keys.MatchString(v) {
						t.Errorf("%s: %q: variable %s in %v", names[index], value, v, d.words)
					}
				}
			}
		})
	})
}

// TestHostileConfigurations lets a real NGINX read what hostile Ingresses give,
// and answer for the location of each.
func TestHostileConfigurations(t *testing.T) {
	var o ingress.Objects
	for _, s := range seeds {
		o.Ingresses = append(o.Ingresses, s.objects().Ingresses...)
	}
	addService(&o, "web", namedBackend(t, "web"))
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "/\"'\\;{}$# ~^=@()*aé\x7f"
	paths := map[string]string{}
	for i := range 300 {
		var path strings.Builder
		for range 1 + random.IntN(8) {
			path.WriteString(url.PathEscape(string(alphabet[random.IntN(len(alphabet))])))
		}
		host := fmt.Sprintf("h%d.example", i)
		paths[host] = "/x" + strings.ReplaceAll(path.String(), "%2F", "/")
		o.Ingresses = append(o.Ingresses, newIngress(fmt.Sprint("r", i), host, "="+paths[host]+" web"))
	}
	server := nginxtest.New(t)
	problems := server.Serve(o)
	left := map[string]bool{}
	for _, p := range problems {
		left[p.Ingress.Name] = true
	}
	served := 0
	for i := range 300 {
		host := fmt.Sprintf("h%d.example", i)
		if left[fmt.Sprint("r", i)] {
			continue
		}
		served++
		response, body := get(t, "http://"+server.HTTP()+paths[host], host)
		if response.StatusCode != 200 {
			t.Errorf("%s: %s %s", paths[host], response.Status, body)
		}
	}
	t.Logf("%d of 300 random paths were served, the rest refused", served)
	if served < 100 {
		t.Errorf("only %d of 300 random paths were served", served)
	}
}

// TestCombinations lets a real NGINX read what annotations come to that are each
// right, in any combination, on every kind of path.
func TestCombinations(t *testing.T) {
	values := []string{
		"true", "false", "0", "1", "5", "500", "4k", "64k", "8m", "16m", "2 1k", "8 4k", "500ms", "1h30m", "web", "users", "10r/s", "308", "${uri}", "info",
		"serviceName=web rewrite=/x", "serviceName=web rewrite=/", "serviceName=web srv_id path=/ expires=1h", "10.0.0.0/8,::1", "X-One:two", "X-One",
		"error timeout", "/", "/start", "/a/$1", "/$2", "https://new.test$request_uri", "cookie", "GRPC", "HTTPS", "GRPCS", "Lax",
		"case_sensitive", "case_insensitive", "exact",
	}
	names := ingress.AnnotationNames()
	random := rand.New(rand.NewPCG(3, 4))
	var o ingress.Objects
	addService(&o, "web", "127.0.0.1:1")
	o.Secrets = append(o.Secrets, passwords("users", "admin:{PLAIN}secret\n"), newAuthority(t).secret("tls", "web.test"))
	right := func(ing *networkingv1.Ingress) bool {
		_, problems := ingress.Build(ingress.Objects{Ingresses: []*networkingv1.Ingress{ing}}, goldenSettings())
		return !slices.ContainsFunc(problems, ingress.Problem.LeftOut)
	}
	for i := range 600 {
		ing := newIngress(fmt.Sprint("i", i), fmt.Sprintf("h%d.test", i/3),
			fmt.Sprintf("/p%d/(.*) web", i), fmt.Sprintf("/q%d/ web", i), fmt.Sprintf("=/e%d web", i), "/ web")
		if random.IntN(2) == 0 {
			withTLS(ing, "tls")
		}
		for tries := 0; tries < 100 && len(ing.Annotations) < 1+i%4; tries++ {
			name := names[random.IntN(len(names))]
			if ing.Annotations[name] != "" {
				continue
			}
			if annotate(ing, name, values[random.IntN(len(values))]); !right(ing) {
				delete(ing.Annotations, name)
			}
		}
		o.Ingresses = append(o.Ingresses, ing)
	}
	server := nginxtest.New(t)
	server.Serve(o)
	for _, path := range []string{"/", "/p1/x", "/q1/x", "/e1"} {
		if response, _ := raw(t, server.HTTP(), "GET "+path+" HTTP/1.1\r\nHost: h0.test\r\nConnection: close\r\n\r\n"); response.StatusCode == 500 {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}
