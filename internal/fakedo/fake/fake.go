// Package fake stands in for DigitalOcean where there is no account: the part of
// the API v2 that berth, its Terraform configuration and the provider plugin use,
// and Spaces. It speaks the API's own JSON, encoding the types of its client
// library godo, and keeps to the documented behaviour: identifiers and status
// codes, clusters that take their time, pages, rate limits, and what is left
// over when a cluster goes.
//
// A test can make it fail on purpose ([Fault]), look at everything in the
// account ([Fake.Account]) and read what was asked of it ([Fake.Requests]).
// Other programs do the same over HTTP, below /_fake/.
package fake

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Options say what kind of DigitalOcean the fake is. The zero value is one where
// everything is done at once.
type Options struct {
	// Delay is how long clusters, nodes and databases take to come up, load
	// balancers to get an address, and deleted clusters to let go of their
	// network.
	Delay time.Duration
	// Kubeconfig is a file that reaches a real cluster. Every running cluster
	// of the account is then that one.
	Kubeconfig string
	// NodeNames lists the real cluster's nodes. The nodes of the account get
	// these names first; further ones are invented.
	NodeNames func(context.Context) ([]string, error)
	// S3 is the URL of the S3 server that holds what is in Spaces, and its
	// keys. Without one there are no Spaces.
	S3, S3AccessKey, S3SecretKey string
	// StateFile keeps the account over a restart; empty keeps it in memory. It
	// holds secrets.
	StateFile string
	// RateLimit is the number of requests in each RateWindow; 0 is the real
	// API's 5,000 an hour.
	RateLimit  int
	RateWindow time.Duration
	// Versions of Kubernetes on offer, newest first; nil offers [Versions].
	Versions []string
	// Now replaces the clock.
	Now func() time.Time
}

// Fake is an account at DigitalOcean. It is an http.Handler, and safe for
// concurrent use.
type Fake struct {
	options Options
	api     *http.ServeMux
	admin   *http.ServeMux
	routes  []string

	mu       sync.Mutex
	account  *Account
	faults   []*Fault
	requests []Request
	// lacking holds the scopes that tokens lack.
	lacking map[string][]string
	// granted holds all the scopes of tokens that have custom ones.
	granted map[string][]string
	limiter limiter
	// released wakes requests that hang.
	released chan struct{}
}

// New returns an account with a default project and nothing else in it, or the
// one that the state file keeps.
func New(o Options) (*Fake, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RateLimit == 0 {
		o.RateLimit, o.RateWindow = 5000, time.Hour
	}
	if o.Versions == nil {
		o.Versions = Versions
	}
	f := &Fake{
		options:  o,
		api:      http.NewServeMux(),
		admin:    http.NewServeMux(),
		lacking:  map[string][]string{},
		granted:  map[string][]string{},
		limiter:  limiter{limit: o.RateLimit, window: o.RateWindow},
		released: make(chan struct{}),
	}
	var err error
	if f.account, err = openAccount(o.StateFile, o.Now()); err != nil {
		return nil, err
	}
	f.routeCatalog()
	f.routeKubernetes()
	f.routeNodePools()
	f.routeNetwork()
	f.routeStorage()
	f.routeSpacesKeys()
	f.routeProjects()
	f.routeDomains()
	f.routeRegistry()
	f.routeDatabases()
	f.routeTags()
	f.routeAdmin()
	return f, nil
}

// Routes returns what the fake has of the API, each as a pattern of http.ServeMux:
// "GET /v2/vpcs/{vpc}".
func (f *Fake) Routes() []string { return slices.Clone(f.routes) }

// Server is a fake that listens.
type Server struct {
	*Fake
	// URL is both the API's (DIGITALOCEAN_API_URL) and that of Spaces
	// (SPACES_ENDPOINT_URL).
	URL string
}

// Start runs a fake on a port of the loopback interface until the test is over.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		f.Release()
		server.CloseClientConnections()
		server.Close()
	})
	return &Server{f, server.URL}
}

// ServeHTTP answers for the API below /v2/, for the tests below /_fake/, and for
// Spaces everywhere else: no bucket can have either name.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case underPath(r, "/_fake/"):
		f.admin.ServeHTTP(w, r)
	case underPath(r, "/v2/"):
		f.serveAPI(w, r)
	default:
		f.serveSpaces(w, r)
	}
}

func underPath(r *http.Request, prefix string) bool {
	return len(r.URL.Path) >= len(prefix) && r.URL.Path[:len(prefix)] == prefix
}

// serveAPI answers one request: what a test wants to go wrong first, then the
// token, then the rate limit, then the endpoint itself.
func (f *Fake) serveAPI(w http.ResponseWriter, r *http.Request) {
	recorded := f.record(r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Request-Id", recorded.ID)

	f.mu.Lock()
	remaining, reset := f.limiter.take(f.options.Now())
	released := f.released
	fault := f.fault(r)
	f.mu.Unlock()

	header := w.Header()
	header.Set("RateLimit-Limit", fmt.Sprint(f.options.RateLimit))
	header.Set("RateLimit-Remaining", fmt.Sprint(max(remaining, 0)))
	header.Set("RateLimit-Reset", fmt.Sprint(reset.Unix()))
	fail := func(err *apiError) {
		f.finish(recorded, err.status)
		err.write(w, recorded.ID)
	}

	if fault.Hang {
		select {
		case <-r.Context().Done():
		case <-released:
		}
		f.finish(recorded, 0)
		panic(http.ErrAbortHandler)
	}
	if fault.Status != 0 {
		if fault.Status == http.StatusTooManyRequests {
			f.sayRetry(w, f.options.Now().Add(max(fault.RetryAfter, time.Second)), fault.RetryAfter)
		}
		fail(&apiError{fault.Status, fault.ID, fault.Message})
		return
	}
	token, ok := bearer(r)
	if !ok {
		fail(&apiError{http.StatusUnauthorized, "Unauthorized", "Unable to authenticate you"})
		return
	}
	if remaining < 0 {
		f.sayRetry(w, reset, 0)
		fail(&apiError{http.StatusTooManyRequests, "too_many_requests", "API Rate limit exceeded."})
		return
	}
	if !f.allowed(token, r) {
		fail(errForbidden)
		return
	}
	if fault.LoseAnswer {
		f.api.ServeHTTP(httptest.NewRecorder(), r)
		f.finish(recorded, 0)
		panic(http.ErrAbortHandler)
	}
	answer := &statusRecorder{ResponseWriter: w}
	f.api.ServeHTTP(answer, r)
	f.finish(recorded, answer.status)
}

// statusRecorder remembers the status for the log.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
