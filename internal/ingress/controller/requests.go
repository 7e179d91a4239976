package controller

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests collects what endpoints.lua has counted: how each endpoint answers.
type requests struct {
	get func(ctx context.Context, path string) ([]byte, error)
	// pod returns the name of the pod at an endpoint's address; "" for none.
	pod func(namespace, address string) string
	// namespace whose endpoints are meant; empty for all.
	namespace string
}

// What labels an endpoint, in this order.
var endpointLabels = []string{"namespace", "service", "port", "endpoint", "pod"}

var (
	requestsTotal = prometheus.NewDesc("berth_ingress_requests_total",
		"Requests that were sent to an endpoint, by the class of the response: 1xx to 5xx.", append(endpointLabels[:5:5], "class"), nil)
	requestSeconds = prometheus.NewDesc("berth_ingress_request_seconds",
		"Time from the sending of a request to an endpoint to the head of its response.", endpointLabels, nil)
)

func (r requests) Describe(descs chan<- *prometheus.Desc) {
	descs <- requestsTotal
	descs <- requestSeconds
}

func (r requests) Collect(samples chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	path := "/counts"
	if r.namespace != "" {
		path += "?" + url.Values{"namespace": {r.namespace}}.Encode()
	}
	text, err := r.get(ctx, path)
	var bounds []float64
	var counted map[endpoint]*answers
	if err == nil {
		bounds, counted, err = parseCounts(text)
	}
	if err != nil {
		samples <- prometheus.NewInvalidMetric(requestsTotal, err)
		return
	}
	for e, a := range counted {
		labels := []string{e.namespace, e.service, e.port, e.address, r.pod(e.namespace, e.address)}
		for class, n := range a.classes {
			if n > 0 {
				samples <- prometheus.MustNewConstMetric(requestsTotal, prometheus.CounterValue, float64(n), append(labels[:5:5], strconv.Itoa(class)+"xx")...)
			}
		}
		cumulative, below := map[float64]uint64{}, uint64(0)
		for i, bound := range bounds {
			below += a.buckets[i]
			cumulative[bound] = below
		}
		samples <- prometheus.MustNewConstHistogram(requestSeconds, below+a.buckets[len(bounds)], a.seconds, cumulative, labels...)
	}
}

// endpoint is one of a backend's.
type endpoint struct{ namespace, service, port, address string }

// answers are those of an endpoint.
type answers struct {
	seconds float64
	classes [6]uint64
	buckets []uint64 // one more than there are bounds
}

// parseCounts reads what counts in endpoints.lua writes: the bounds, then lines of
// "NAMESPACE.SERVICE.PORT ADDRESS PORT [CLASS BUCKET] VALUE".
func parseCounts(text []byte) (bounds []float64, counted map[endpoint]*answers, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Scan()
	for word := range strings.FieldsSeq(lines.Text()) {
		bound, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("read nginx's counters: bounds %q: %w", lines.Text(), err)
		}
		bounds = append(bounds, bound)
	}
	counted = map[endpoint]*answers{}
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 4 && len(words) != 6 {
			return nil, nil, fmt.Errorf("read nginx's counters: %q", lines.Text())
		}
		backend := strings.Split(words[0], ".")
		value, err := strconv.ParseFloat(words[len(words)-1], 64)
		if err != nil || len(backend) != 3 {
			return nil, nil, fmt.Errorf("read nginx's counters: %q", lines.Text())
		}
		e := endpoint{backend[0], backend[1], backend[2], words[1] + ":" + words[2]}
		a := counted[e]
		if a == nil {
			a = &answers{buckets: make([]uint64, len(bounds)+1)}
			counted[e] = a
		}
		if len(words) == 4 {
			a.seconds = value
			continue
		}
		class, err := strconv.Atoi(words[3])
		bucket, err2 := strconv.Atoi(words[4])
		if err != nil || err2 != nil || class < 1 || class >= len(a.classes) || bucket < 1 || bucket > len(a.buckets) {
			return nil, nil, fmt.Errorf("read nginx's counters: %q", lines.Text())
		}
		a.classes[class] += uint64(value)
		a.buckets[bucket-1] += uint64(value)
	}
	return bounds, counted, lines.Err()
}
