// Package traffic reads the counters of berth's ingress: how each endpoint of an
// environment answers. See internal/ingress/controller for the counters.
//
// It reaches the ingress' pods through the API server, so that the counters need no
// address of their own.
package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth/internal/kube"
	"berth/internal/rollout"
)

// Where the ingress is that berth installs; charts/ingress and package platform say
// so.
const (
	namespace = "ingress"
	selector  = "app.kubernetes.io/name=ingress,app.kubernetes.io/instance=ingress"
	port      = 10254
)

// readTime bounds the reading of one pod's counters.
const readTime = 5 * time.Second

// Endpoint is how one endpoint of an environment has answered, since the ingress
// knows it.
type Endpoint struct {
	// Classes are the numbers of answers by the first digit of their status.
	Classes [6]int
	// Bounds are upper bounds in seconds, and Buckets how many answers took how
	// long to begin: one more than there are bounds, for what took longer.
	Bounds  []float64
	Buckets []int
}

// Since returns what was answered since an earlier look. Counters that have begun at
// 0 meanwhile, as those of an address that is another pod's now, count as a whole.
func (e Endpoint) Since(earlier Endpoint) Endpoint {
	if e.Requests() < earlier.Requests() {
		return e
	}
	for i, n := range earlier.Classes {
		e.Classes[i] -= n
	}
	e.Buckets = slices.Clone(e.Buckets)
	for i := range min(len(e.Buckets), len(earlier.Buckets)) {
		e.Buckets[i] -= earlier.Buckets[i]
	}
	return e
}

// Add returns what both have answered.
func (e Endpoint) Add(other Endpoint) Endpoint {
	for i, n := range other.Classes {
		e.Classes[i] += n
	}
	if e.Buckets == nil {
		e.Bounds, e.Buckets = other.Bounds, slices.Clone(other.Buckets)
		return e
	}
	e.Buckets = slices.Clone(e.Buckets)
	for i := range min(len(e.Buckets), len(other.Buckets)) {
		e.Buckets[i] += other.Buckets[i]
	}
	return e
}

// Requests is how many were answered.
func (e Endpoint) Requests() (n int) {
	for _, class := range e.Classes {
		n += class
	}
	return n
}

// Within returns the smallest bound in seconds within which a part of the answers
// began, as 0.99 of them; infinity where it is longer than all, and 0 where nothing
// was answered.
func (e Endpoint) Within(part float64) float64 {
	all, below := 0, 0
	for _, n := range e.Buckets {
		all += n
	}
	if all == 0 {
		return 0
	}
	for i, bound := range e.Bounds {
		if below += e.Buckets[i]; float64(below) >= part*float64(all) {
			return bound
		}
	}
	return math.Inf(1)
}

// Reader reads counters of a cluster.
type Reader struct {
	Client kubernetes.Interface
	// REST is what Client was made of.
	REST *rest.Config
}

// Read returns the endpoints of an environment by their address, as "10.118.1.7:8000",
// summed over all pods of the ingress.
func (r Reader) Read(ctx context.Context, environment string) (map[string]Endpoint, error) {
	pods, err := r.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("look for the ingress: %w", err)
	}
	all := map[string]Endpoint{}
	read := false
	for i := range pods.Items {
		if pod := &pods.Items[i]; rollout.Ready(pod) {
			if err := r.add(ctx, pod, environment, all); err != nil {
				return nil, fmt.Errorf("read the counters of pod %s: %w", pod.Name, err)
			}
			read = true
		}
	}
	if !read {
		return nil, errors.New("read the ingress' counters: none of its pods is ready")
	}
	return all, nil
}

// add adds what one pod has counted.
func (r Reader) add(ctx context.Context, pod *core.Pod, environment string, all map[string]Endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	// It listens on its own loopback.
	text, err := kube.PodGet(ctx, r.Client.CoreV1().RESTClient(), r.REST, kube.PodAddress{
		Namespace: namespace, Pod: pod.Name, Port: port,
	}, "/metrics?"+url.Values{"namespace": {environment}}.Encode())
	if err != nil {
		return err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return err
	}
	for _, metric := range families["berth_ingress_requests_total"].GetMetric() {
		address, e := of(metric, all)
		if class := label(metric, "class"); len(class) == 3 && class[0] >= '1' && class[0] <= '5' {
			e.Classes[class[0]-'0'] += int(metric.GetCounter().GetValue())
		}
		all[address] = e
	}
	for _, metric := range families["berth_ingress_request_seconds"].GetMetric() {
		address, e := of(metric, all)
		e.addTimes(metric.GetHistogram())
		all[address] = e
	}
	return nil
}

// addTimes adds a histogram, whose buckets are cumulative and end with infinity.
func (e *Endpoint) addTimes(h *dto.Histogram) {
	var bounds []float64
	var buckets []int
	below := uint64(0)
	for _, bucket := range h.GetBucket() {
		if n := bucket.GetCumulativeCount(); bucket.GetUpperBound() <= 1e9 {
			bounds, buckets, below = append(bounds, bucket.GetUpperBound()), append(buckets, int(n-below)), n
		}
	}
	buckets = append(buckets, int(h.GetSampleCount()-below))
	*e = e.Add(Endpoint{Bounds: bounds, Buckets: buckets})
}

func of(metric *dto.Metric, all map[string]Endpoint) (string, Endpoint) {
	address := label(metric, "endpoint")
	return address, all[address]
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
