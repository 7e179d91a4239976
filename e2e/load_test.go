//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	loadRate    = 120 // requests a second, all clients together
	loadClients = 16  // half of them speak HTTP/2
)

// load is a steady stream of requests through NGINX to production. A request is
// lost when it has no answer, half of one, or one that is not 2xx: every
// request it makes is one that a healthy application grants.
type load struct {
	author  *site // whose article the load is about
	slug    string
	began   time.Time
	stop    chan struct{}
	clients sync.WaitGroup

	mu      sync.Mutex
	sent    int
	kept    []string // bodies of comments that were acknowledged
	lost    []lostRequest
	slowest time.Duration
	slow    string // which one was the slowest, and when
}

type lostRequest struct {
	at           time.Duration // since the load began
	after        time.Duration // since the request did
	method, path string
	why          string
}

func (l lostRequest) String() string {
	return fmt.Sprintf("%6.2f s: %s %s after %s: %s", l.at.Seconds(), l.method, l.path, l.after.Round(time.Millisecond), l.why)
}

// idempotent reports whether NGINX may send the request to another pod when one
// dies with it (RFC 9110, section 9.2.2).
func (l lostRequest) idempotent() bool { return l.method != http.MethodPost }

// underLoad does work while the load goes on, from a moment before until the
// pods that leave by it have left. No request may get lost.
func underLoad(t *testing.T, what string, work func()) {
	t.Helper()
	if lost := loadDuring(t, what, work); len(lost) > 0 {
		t.Errorf("%s: lost requests:\n%s", what, summary(lost))
	}
}

// loadDuring is underLoad for those who judge the lost requests themselves.
func loadDuring(t *testing.T, what string, work func()) []lostRequest {
	t.Helper()
	l := startLoad(t)
	ended := false
	end := func() {
		if !ended {
			ended = true
			l.end(t, what)
		}
	}
	defer end() // also when work ends the test
	time.Sleep(2 * time.Second)
	work()
	awaitLeaving(t)
	time.Sleep(2 * time.Second)
	end()
	return l.lost
}

// awaitLeaving waits until no pod of production is on its way out any more.
func awaitLeaving(t *testing.T) {
	t.Helper()
	c, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "pods to leave", time.Minute, func() error {
		list, err := c.CoreV1().Pods("production").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			if pod.DeletionTimestamp != nil {
				return fmt.Errorf("%s is still there", pod.Name)
			}
		}
		return nil
	})
}

func startLoad(t *testing.T) *load {
	t.Helper()
	author := newSite(t, production).as(t, unique("load"))
	l := &load{author: author, slug: author.write(t, unique("steady")), began: time.Now(), stop: make(chan struct{})}
	due := make(chan struct{})
	go func() {
		ticker := time.NewTicker(time.Second / loadRate)
		defer ticker.Stop()
		defer close(due)
		for {
			select {
			case <-l.stop:
				return
			case <-ticker.C:
			}
			select {
			case due <- struct{}{}:
			case <-l.stop:
				return
			}
		}
	}()
	for i := range loadClients {
		client := *author
		client.client = &http.Client{Transport: transport(t, i%2 == 0), Timeout: 30 * time.Second}
		l.clients.Go(func() {
			for range due {
				l.request(&client)
			}
			client.client.CloseIdleConnections()
		})
	}
	return l
}

// request makes one request of the mix.
func (l *load) request(s *site) {
	method, path, body, comment := "GET", "/api/articles", any(nil), ""
	switch pick := rand.IntN(100); {
	case pick < 40:
	case pick < 60:
		path = "/api/articles/" + l.slug
	case pick < 75:
		path = "/api/tags"
	case pick < 85:
		path = "/api/articles/feed"
	case pick < 90:
		path = "/api/user"
	case pick < 95:
		method, path = "PUT", "/api/articles/"+l.slug
		body = object{"article": object{"body": unique("body")}}
	default:
		comment = unique("comment")
		method, path = "POST", "/api/articles/"+l.slug+"/comments"
		body = object{"comment": object{"body": comment}}
	}
	began := time.Now()
	err := try(s, method, path, body)
	took := time.Since(began)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if took > l.slowest {
		l.slowest, l.slow = took, fmt.Sprintf("%s %s at %.1f s", method, path, began.Sub(l.began).Seconds())
	}
	if err != nil {
		l.lost = append(l.lost, lostRequest{began.Sub(l.began), took, method, path, err.Error()})
	} else if comment != "" {
		l.kept = append(l.kept, comment)
	}
}

// try makes a request and reads the whole answer.
func try(s *site, method, path string, body any) error {
	request, err := s.request(method, path, body)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s, then %w", response.Status, err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", response.Status, strings.Fields(string(text[:min(len(text), 200)])))
	}
	if !json.Valid(text) {
		return fmt.Errorf("%s with half an answer: %s", response.Status, text[max(0, len(text)-100):])
	}
	return nil
}

// end stops the load, says what it was, and sees that what was acknowledged is
// there.
func (l *load) end(t *testing.T, what string) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	took := time.Since(l.began)
	t.Logf("%s: %d requests in %.1f s, %d lost, slowest %s (%s)", what, l.sent, took.Seconds(), len(l.lost),
		l.slowest.Round(time.Millisecond), l.slow)
	if l.sent < int(took.Seconds())*loadRate/4 {
		t.Errorf("%s: the load was no load: %d requests in %s", what, l.sent, took)
	}
	var answer struct{ Comments []struct{ Body string } }
	if err := l.read(&answer); err != nil {
		t.Errorf("%s: read the comments back: %v", what, err)
		return
	}
	there := map[string]int{}
	for _, comment := range answer.Comments {
		there[comment.Body]++
	}
	for _, body := range l.kept {
		if there[body] == 0 {
			t.Errorf("%s: the comment %s was acknowledged and is gone", what, body)
		}
	}
	for _, body := range slices.Sorted(maps.Keys(there)) {
		if there[body] > 1 {
			t.Errorf("%s: the comment %s is there %d times", what, body, there[body])
		}
	}
}

func (l *load) read(into any) error {
	request, err := l.author.request("GET", "/api/articles/"+l.slug+"/comments", nil)
	if err != nil {
		return err
	}
	response, err := l.author.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// summary joins lost requests for a message, at most ten.
func summary(lost []lostRequest) string {
	var lines []string
	for _, l := range lost[:min(len(lost), 10)] {
		lines = append(lines, l.String())
	}
	if more := len(lost) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}
