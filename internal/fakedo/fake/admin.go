package fake

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// Request is one line of the log. It holds no token and no body.
type Request struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	// Status is 0 while there is no answer, and where it was never given.
	Status int `json:"status"`
}

// Requests returns what was asked of the API so far.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// Account returns a copy of everything in the account, as it is now.
func (f *Fake) Account() (*Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.account.advance(f.options.Now(), f.options.Delay)
	data, err := json.Marshal(f.account)
	if err != nil {
		return nil, err
	}
	var a Account
	return &a, json.Unmarshal(data, &a)
}

// Change lets a test change the account behind everybody's back, as a person in
// the control panel does.
func (f *Fake) Change(change func(*Account)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.account.advance(f.options.Now(), f.options.Delay)
	change(f.account)
	return f.account.save(f.options.StateFile)
}

func (f *Fake) record(r *http.Request) Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	request := Request{ID: newID(), Time: f.options.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	f.requests = append(f.requests, request)
	return request
}

func (f *Fake) finish(request Request, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.requests {
		if f.requests[i].ID == request.ID {
			f.requests[i].Status = status
		}
	}
}

// routeAdmin is the tests' own door:
//
//	GET    /_fake/account    everything in the account
//	GET    /_fake/requests   the log
//	POST   /_fake/faults     arm a [Fault]
//	DELETE /_fake/faults     disarm all, and let go of what hangs
//	POST   /_fake/scopes     {"token": T, "missing": "kubernetes:create"}
func (f *Fake) routeAdmin() {
	f.admin.HandleFunc("GET /_fake/account", func(w http.ResponseWriter, _ *http.Request) {
		account, err := f.Account()
		writeAdmin(w, account, err)
	})
	f.admin.HandleFunc("GET /_fake/requests", func(w http.ResponseWriter, _ *http.Request) {
		writeAdmin(w, f.Requests(), nil)
	})
	f.admin.HandleFunc("POST /_fake/faults", func(w http.ResponseWriter, r *http.Request) {
		var fault Fault
		err := decode(r, &fault)
		if err == nil {
			f.Inject(fault)
		}
		writeAdmin(w, struct{}{}, err)
	})
	f.admin.HandleFunc("DELETE /_fake/faults", func(w http.ResponseWriter, _ *http.Request) {
		f.Release()
		writeAdmin(w, struct{}{}, nil)
	})
	f.admin.HandleFunc("POST /_fake/scopes", func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Token, Missing string }
		err := decode(r, &request)
		if err == nil {
			f.LackScope(request.Token, request.Missing)
		}
		writeAdmin(w, struct{}{}, err)
	})
}

func writeAdmin(w http.ResponseWriter, body any, err error) {
	if err != nil {
		asAPIError(err).write(w, "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // The client has gone otherwise.
}
