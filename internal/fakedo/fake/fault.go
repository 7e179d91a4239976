package fake

import (
	"net/http"
	"path"
	"strings"
	"time"
)

// Fault makes requests go wrong on purpose. It has one of three effects: Status
// answers with an error and does nothing; Hang answers never, until the client
// goes or [Fake.Release] is called; LoseAnswer does what was asked and then cuts
// the connection.
type Fault struct {
	// Method and Path choose the requests; empty chooses all. Path is a pattern
	// as of path.Match: "/v2/kubernetes/clusters/*".
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// After lets so many of these requests through first, and Times is how many
	// go wrong then; 0 is one, -1 all.
	After int `json:"after,omitempty"`
	Times int `json:"times,omitempty"`

	Status     int    `json:"status,omitempty"`
	ID         string `json:"id,omitempty"`
	Message    string `json:"message,omitempty"`
	Hang       bool   `json:"hang,omitempty"`
	LoseAnswer bool   `json:"lose_answer,omitempty"`
	// RetryAfter is what an answer of status 429 asks the client to wait, as that
	// of the burst limit does; 0 is the limit of the hour, which only names the
	// time of its reset. In JSON it is in nanoseconds.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
}

// Inject arms faults. Where several match a request, the first has its effect.
func (f *Fake) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.Times == 0 {
			fault.Times = 1
		}
		if fault.Status != 0 && fault.ID == "" {
			fault.ID = strings.ReplaceAll(strings.ToLower(http.StatusText(fault.Status)), " ", "_")
		}
		if fault.Status != 0 && fault.Message == "" {
			fault.Message = http.StatusText(fault.Status)
		}
		f.faults = append(f.faults, &fault)
	}
}

// Release disarms all faults and lets go of the requests that hang.
func (f *Fake) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	close(f.released)
	f.released = make(chan struct{})
}

// fault returns what is to go wrong with a request; the zero value is nothing.
// The account is locked.
func (f *Fake) fault(r *http.Request) Fault {
	for _, fault := range f.faults {
		if fault.Method != "" && fault.Method != r.Method {
			continue
		}
		if matched, err := path.Match(fault.Path, r.URL.Path); fault.Path != "" && (err != nil || !matched) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		if fault.Times == 0 {
			continue
		}
		if fault.Times > 0 {
			fault.Times--
		}
		return *fault
	}
	return Fault{}
}

// limiter counts requests in windows of time, as the API does by the hour.
type limiter struct {
	limit  int
	window time.Duration
	used   int
	reset  time.Time
}

// take counts one request and returns how many remain; less than none means that
// it is one too many.
func (l *limiter) take(now time.Time) (remaining int, reset time.Time) {
	if now.After(l.reset) {
		l.used, l.reset = 0, now.Add(l.window)
	}
	l.used++
	return l.limit - l.used, l.reset
}

// sayRetry tells in the headers of an answer of status 429 when to come again. The
// API has two limits: of the hour, whose answer names the reset, and of bursts,
// whose answer says how many seconds to wait besides.
func (f *Fake) sayRetry(w http.ResponseWriter, reset time.Time, burst time.Duration) {
	w.Header().Set("RateLimit-Remaining", "0")
	w.Header().Set("RateLimit-Reset", itoa(int(reset.Unix())))
	if burst > 0 {
		w.Header().Set("Retry-After", itoa(max(int(burst.Round(time.Second)/time.Second), 1)))
	}
}
