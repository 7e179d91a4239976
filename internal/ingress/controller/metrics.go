package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ingress_reloads_total", Help: "Configurations given to NGINX, by result: ok, refused, failed.",
	}, []string{"result"})
	problemCount = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ingress_problems", Help: "Problems with Ingress objects at present.",
	})
)

func init() { metrics.Registry.MustRegister(reloads, problemCount) }

// stubStatus collects NGINX's own counters, under the names that NGINX's
// Prometheus exporter gives them.
type stubStatus struct {
	get func(ctx context.Context, path string) ([]byte, error)
}

var (
	upDesc       = prometheus.NewDesc("nginx_up", "Whether NGINX answers.", nil, nil)
	activeDesc   = prometheus.NewDesc("nginx_connections_active", "Active client connections.", nil, nil)
	acceptedDesc = prometheus.NewDesc("nginx_connections_accepted", "Accepted client connections.", nil, nil)
	handledDesc  = prometheus.NewDesc("nginx_connections_handled", "Handled client connections.", nil, nil)
	readingDesc  = prometheus.NewDesc("nginx_connections_reading", "Connections whose request is being read.", nil, nil)
	writingDesc  = prometheus.NewDesc("nginx_connections_writing", "Connections whose response is being written.", nil, nil)
	waitingDesc  = prometheus.NewDesc("nginx_connections_waiting", "Idle client connections.", nil, nil)
	requestsDesc = prometheus.NewDesc("nginx_http_requests_total", "Client requests.", nil, nil)
)

func (s stubStatus) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, activeDesc, acceptedDesc, handledDesc, readingDesc, writingDesc, waitingDesc, requestsDesc} {
		descs <- d
	}
}

func (s stubStatus) Collect(samples chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var active, accepted, handled, requests, reading, writing, waiting float64
	body, err := s.get(ctx, "/stub_status")
	if err == nil {
		_, err = fmt.Sscanf(string(body), "Active connections: %f\nserver accepts handled requests\n %f %f %f\nReading: %f Writing: %f Waiting: %f",
			&active, &accepted, &handled, &requests, &reading, &writing, &waiting)
	}
	if err != nil {
		samples <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, 0)
		return
	}
	samples <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, 1)
	samples <- prometheus.MustNewConstMetric(activeDesc, prometheus.GaugeValue, active)
	samples <- prometheus.MustNewConstMetric(acceptedDesc, prometheus.CounterValue, accepted)
	samples <- prometheus.MustNewConstMetric(handledDesc, prometheus.CounterValue, handled)
	samples <- prometheus.MustNewConstMetric(readingDesc, prometheus.GaugeValue, reading)
	samples <- prometheus.MustNewConstMetric(writingDesc, prometheus.GaugeValue, writing)
	samples <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, waiting)
	samples <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, requests)
}
