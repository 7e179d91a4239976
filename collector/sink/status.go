package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"
)

// Status is what one agent's sink_status serves at /status.
type Status struct {
	Node  string       `json:"node"`
	Sinks []SinkStatus `json:"sinks"`
}

// SinkStatus says whether a sink takes lines. Numbers are since the agent
// started.
type SinkStatus struct {
	// Name is the exporter's in the configuration, as "awss3" or "otlp_http".
	Name string `json:"name"`
	// State is "waiting" before there was anything to send, "ok", or "failing".
	State string `json:"state"`
	// Answer is why it is failing: the sink's own words, or why it is not
	// reached. Since is when that began.
	Answer string     `json:"answer,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	// LastSent is when the sink last took lines.
	LastSent *time.Time `json:"lastSent,omitempty"`
	// Lines that the sink took, that its full queue dropped, and that it
	// refused for what they hold, with the last of its reasons.
	Sent           int64  `json:"sent"`
	Dropped        int64  `json:"dropped"`
	Rejected       int64  `json:"rejected"`
	RejectedAnswer string `json:"rejectedAnswer,omitempty"`
}

const (
	waiting = "waiting"
	ok      = "ok"
	failing = "failing"
)

// status is a sink's, kept up to date by its exporter.
type status struct {
	name string

	mu  sync.Mutex
	now SinkStatus
}

func (s *status) update(change func(*SinkStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.now)
}

// sent counts lines that the sink took. None say nothing of the sink.
func (s *status) sent(lines int) {
	if lines == 0 {
		return
	}
	at := time.Now().UTC()
	s.update(func(n *SinkStatus) {
		n.State, n.Answer, n.Since = ok, "", nil
		n.LastSent = &at
		n.Sent += int64(lines)
	})
}

func (s *status) failed(answer string) {
	at := time.Now().UTC()
	s.update(func(n *SinkStatus) {
		if n.State != failing {
			n.State, n.Since = failing, &at
		}
		n.Answer = answer
	})
}

func (s *status) dropped(lines int) { s.update(func(n *SinkStatus) { n.Dropped += int64(lines) }) }

func (s *status) rejected(lines int, answer string) {
	s.update(func(n *SinkStatus) {
		n.Rejected += int64(lines)
		n.RejectedAnswer = answer
	})
}

func (s *status) get() SinkStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.now
	got.Name = s.name
	if got.State == "" {
		got.State = waiting
	}
	return got
}

// StatusConfig configures the extension sink_status.
type StatusConfig struct {
	// Endpoint is the address to listen at.
	Endpoint string `mapstructure:"endpoint"`
	// Node is this node's name.
	Node string `mapstructure:"node"`
}

// NewStatusFactory makes the extension sink_status, which serves the state of
// all sinks as JSON at /status. What it says is meant for an operator who reads
// it through the API server; it holds no log lines.
func NewStatusFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("sink_status"),
		func() component.Config { return &StatusConfig{Endpoint: "localhost:13134"} },
		func(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
			return &statusExtension{config: cfg.(*StatusConfig), telemetry: set.TelemetrySettings}, nil
		}, component.StabilityLevelStable)
}

type statusExtension struct {
	config    *StatusConfig
	telemetry component.TelemetrySettings
	server    *http.Server
	served    sync.WaitGroup

	mu    sync.Mutex
	sinks []*status
}

func (e *statusExtension) add(s *status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sinks = append(e.sinks, s)
}

func (e *statusExtension) status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := Status{Node: e.config.Node, Sinks: []SinkStatus{}}
	for _, s := range e.sinks {
		all.Sinks = append(all.Sinks, s.get())
	}
	slices.SortFunc(all.Sinks, func(a, b SinkStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (e *statusExtension) Start(ctx context.Context, host component.Host) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", e.config.Endpoint)
	if err != nil {
		return fmt.Errorf("serve the sinks' status: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The reader may have gone; there is nobody else to tell.
		if err := json.NewEncoder(w).Encode(e.status()); err != nil {
			e.telemetry.Logger.Debug("the sinks' status was not read", zap.Error(err))
		}
	})
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	e.served.Go(func() {
		if err := e.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

func (e *statusExtension) Shutdown(ctx context.Context) error {
	if e.server == nil {
		return nil
	}
	err := e.server.Shutdown(ctx)
	e.served.Wait()
	return err
}
