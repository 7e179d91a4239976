package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
)

// metrics are what /metrics tells Prometheus. Requests are counted by route
// pattern and known method, so that no client can make new series.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(store *store.Store, passwords *password.Pool) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realworld_http_requests_total", Help: "Requests answered.",
		}, []string{"method", "route", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "realworld_http_request_duration_seconds", Help: "Time from a request's headers to the end of its response.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "realworld_http_requests_in_flight", Help: "Requests being answered.",
		}),
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(m.requests, m.latency, m.inFlight,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("realworld_database_connections_open", "Connections to the database.", func() int { open, _ := store.Connections(); return open }),
		gauge("realworld_database_connections_busy", "Connections to the database in use.", func() int { _, busy := store.Connections(); return busy }),
		gauge("realworld_password_hashes_working", "Passwords being hashed.", passwords.Working),
		gauge("realworld_password_hashes_waiting", "Passwords that wait to be hashed.", passwords.Waiting))
	return m
}

func (m *metrics) observe(x *exchange) {
	method, route := x.request.Method, x.route
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(x.status)).Inc()
	m.latency.WithLabelValues(method, route).Observe(time.Since(x.start).Seconds())
}
