package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"errors"

	"berth/internal/alert"
)

// serve answers on the status address: /healthz for the kubelet, /status and
// /test for berth, which comes through the API server.
func (w *Watch) serve(ctx context.Context) (stop func(), err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(answer http.ResponseWriter, _ *http.Request) {
		if err := w.alive(time.Now()); err != nil {
			http.Error(answer, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(answer, "ok")
	})
	mux.HandleFunc("GET /status", func(answer http.ResponseWriter, _ *http.Request) {
		writeJSON(answer, w.report())
	})
	mux.HandleFunc("POST /test", func(answer http.ResponseWriter, r *http.Request) {
		// Everybody who reaches the pod may ask, and must not flood anybody.
		w.mutex.Lock()
		soon := time.Since(w.tested) < testPause
		if !soon {
			w.tested = time.Now()
		}
		w.mutex.Unlock()
		if soon {
			http.Error(answer, "a test message was sent just now", http.StatusTooManyRequests)
			return
		}
		writeJSON(answer, alert.Test(r.Context(), w.options.Destinations, w.options.Name))
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.options.Status)
	if err != nil {
		return nil, fmt.Errorf("serve the status: %w", err)
	}
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	go func() {
		_ = server.Serve(listener) // it ends when it is closed
	}()
	return func() { _ = server.Close() }, nil
}

// testPause is the least time between two test messages.
const testPause = 5 * time.Second

func writeJSON(answer http.ResponseWriter, value any) {
	answer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(answer).Encode(value) // the client may be gone
}

// report is what the watch sees.
func (w *Watch) report() alert.Report {
	r := alert.Report{Problems: []alert.Problem{}, Suspected: []alert.Problem{}, Destinations: w.outbox.Deliveries(), Blind: w.looks.blind()}
	if err := w.alive(time.Now()); err != nil {
		r.Blind = append(r.Blind, err.Error())
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	r.Deploying = w.deploying
	told, suspected := w.ledger.Broken()
	for _, e := range told {
		r.Problems = append(r.Problems, e.problem(w.options.Name))
	}
	for _, e := range suspected {
		r.Suspected = append(r.Suspected, e.problem(w.options.Name))
	}
	return r
}

func (e Entry) problem(cluster string) alert.Problem {
	where := e.Namespace
	if where == "" {
		where = cluster
	}
	return alert.Problem{Title: where + ": " + e.Title, Kind: e.Kind, Since: e.Since, Told: e.Told}
}

// alive says why the watch is none, or nil.
func (w *Watch) alive(now time.Time) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.judged.IsZero() {
		return errors.New("it has not seen the cluster yet")
	}
	if now.Sub(w.judged) > stalled {
		return fmt.Errorf("it last looked at %s", w.judged.UTC().Format(time.DateTime))
	}
	return nil
}
