package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service is a webhook that misbehaves. It answers without a network, so that
// hours pass in no time.
type service struct {
	mutex sync.Mutex
	// answer decides on a request, by its number; nil takes it.
	answer func(n int, w http.ResponseWriter, r *http.Request) bool
	asked  int
	taken  []string
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mutex.Lock()
	s.asked++
	n := s.asked
	s.mutex.Unlock()
	w := httptest.NewRecorder()
	if s.answer != nil && s.answer(n, w, r) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return w.Result(), nil
	}
	var body struct{ Text string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	title, _, _ := strings.Cut(body.Text, "\n")
	s.mutex.Lock()
	s.taken = append(s.taken, title)
	s.mutex.Unlock()
	return w.Result(), nil
}

// use has messages go to a service, for the time of a test.
func (s *service) use(t *testing.T) {
	before := http.DefaultClient
	http.DefaultClient = &http.Client{Transport: s}
	t.Cleanup(func() { http.DefaultClient = before })
}

func testOutbox(t *testing.T, urls string) *Outbox {
	t.Helper()
	to, err := Parse(urls)
	if err != nil {
		t.Fatal(err)
	}
	return &Outbox{Destinations: to, Save: func(context.Context) {}}
}

// Whatever a service does, each message arrives once and in order.
func TestAServiceThatMisbehavesLosesNothing(t *testing.T) {
	hang := func(r *http.Request) { <-r.Context().Done() }
	for _, test := range []struct {
		name string
		bad  func(n int, w http.ResponseWriter, r *http.Request) bool
		// within bounds how long it takes after the service is good again.
		within time.Duration
	}{
		{"good", nil, time.Second},
		{"errors of its own", func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n < 4 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return n < 4
		}, 20 * time.Second},
		{"it hangs", func(n int, _ http.ResponseWriter, r *http.Request) bool {
			if n < 4 {
				hang(r)
			}
			return n < 4
		}, 90 * time.Second},
		{"too many requests", func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n < 3 {
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return n < 3
		}, 70 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{}
				if test.bad != nil {
					s.answer = test.bad
				}
				s.use(t)
				o := testOutbox(t, "http://service.example/hook")
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { o.Run(ctx) })
				o.Add(Message{Title: "one"}, time.Now())
				o.Add(Message{Title: "two"}, time.Now())
				o.Wake()
				time.Sleep(test.within)
				synctest.Wait()
				if diff := cmp.Diff([]string{"one", "two"}, s.taken); diff != "" {
					t.Errorf("what arrived (-want +got):\n%s", diff)
				}
				if left := o.Waiting(); len(left) > 0 {
					t.Errorf("%d messages still wait", len(left))
				}
				cancel()
				running.Wait()
			})
		})
	}
}

// A service that is away for an hour gets everything afterwards; one beside it
// gets it at once.
func TestAServiceThatIsAwayLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := &service{answer: func(_ int, w http.ResponseWriter, r *http.Request) bool {
			away := r.URL.Host == "away.example" && time.Since(begin) < time.Hour
			if away {
				w.WriteHeader(http.StatusBadGateway)
			}
			return away
		}}
		s.use(t)
		o := testOutbox(t, "http://away.example/a http://there.example/b")
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { o.Run(ctx) })
		var want []string
		for _, title := range []string{"one", "two", "three"} {
			want = append(want, title)
			o.Add(Message{Title: title}, time.Now())
			o.Wake()
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if diff := cmp.Diff(want, s.taken); diff != "" {
			t.Errorf("what arrived meanwhile (-want +got):\n%s", diff)
		}
		state := o.Deliveries()
		if state[0].Waiting != 3 || state[0].Problem == "" || state[1].Waiting != 0 || state[1].Problem != "" {
			t.Errorf("the deliveries are %+v", state)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(append(want, want...), s.taken); diff != "" {
			t.Errorf("what arrived in the end (-want +got):\n%s", diff)
		}
		if asked := s.asked; asked > 60 {
			t.Errorf("the service was asked %d times in an hour", asked)
		}
		cancel()
		running.Wait()
	})
}

// A message that a service does not take holds up none that comes later, and is
// tried again.
func TestARefusedMessageHoldsUpNoOther(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := &service{answer: func(_ int, w http.ResponseWriter, r *http.Request) bool {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
					no := bytes.Contains(body, []byte("strange")) && time.Since(begin) < 2*time.Hour
					if no {
						w.WriteHeader(status)
					}
					return no
				}}
				s.use(t)
				o := testOutbox(t, "http://service.example/hook")
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { o.Run(ctx) })
				var want []string
				for _, title := range []string{"one", "strange", "two", "three", "also strange", "four"} {
					o.Add(Message{Title: title}, time.Now())
					o.Wake()
					if !strings.Contains(title, "strange") {
						want = append(want, title)
					}
					time.Sleep(10 * time.Second)
					synctest.Wait()
					if diff := cmp.Diff(want, s.taken); diff != "" {
						t.Errorf("what arrived within 10 s of %q (-want +got):\n%s", title, diff)
					}
					time.Sleep(20 * time.Minute)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if left := o.Waiting(); len(left) > 0 || len(s.taken) != 6 {
					t.Errorf("%d messages still wait, and %q arrived", len(left), s.taken)
				}
				cancel()
				running.Wait()
			})
		})
	}
}

// An outbox has an end, and what is newest stays.
func TestAFullOutboxDropsTheOldest(t *testing.T) {
	o := testOutbox(t, "http://service.example/hook")
	for range mostLetters {
		o.Add(Message{Title: "old"}, time.Now())
	}
	o.Add(Message{Title: "new"}, time.Now())
	left := o.Waiting()
	if len(left) != mostLetters || left[len(left)-1].Title != "new" {
		t.Errorf("%d letters wait, the last is %q", len(left), left[len(left)-1].Title)
	}
}
