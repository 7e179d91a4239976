package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/metrics"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Metrics are those that a cluster keeps, of all that runs in it.
type Metrics struct {
	shared
	config *config.Config
}

const (
	metricsName      = "metrics" // the chart, the release, its Deployment and volume
	metricsNamespace = "metrics"
	// metricsPort is where it answers, on the pod's own loopback.
	metricsPort = 8428
	// metricsPatience is how long an answer is waited for: longer than charts/metrics
	// lets a query take.
	metricsPatience = 25 * time.Second
)

// metricsPart is the release of what keeps metrics, but for its values.
var metricsPart = part{
	chart: metricsName, name: metricsName, namespace: metricsNamespace, security: "restricted",
}

// NewMetrics returns the metrics of a cluster.
func NewMetrics(cluster *provider.Cluster, c *config.Config) (*Metrics, error) {
	s, err := openShared(metricsPart, "what keeps metrics", cluster, c.Name)
	return &Metrics{s, c}, err
}

// Install has metrics kept for as long as berth.yaml says, by an image or, where it is
// empty, by the chart's.
func (m *Metrics) Install(ctx context.Context, image string, r progress.Reporter) error {
	foreign := "metrics of this cluster are kept for as long as the berth.yaml of %s says: metrics here is not used"
	return m.installShared(ctx, foreign, func(context.Context) (part, error) { return m.describe(image), nil }, r)
}

func (m *Metrics) describe(image string) part {
	p := metricsPart
	p.values = map[string]any{
		"application": m.config.Name, "retentionDays": m.config.Metrics.Days(), "storageClass": m.cluster.StorageClass,
		"image": map[string]any{},
	}
	if image != "" {
		p.values["image"] = map[string]any{"reference": image}
	}
	if m.cluster.Ingress != nil {
		p.values["ingressNamespace"] = "ingress"
	}
	return p
}

// ErrNoMetrics is returned where no metrics are kept.
var ErrNoMetrics = errors.New("no metrics are kept in this cluster")

// Environment returns how an environment did up to now.
func (m *Metrics) Environment(ctx context.Context, environment string, during time.Duration) (*metrics.Environment, error) {
	store, err := m.store(ctx)
	if err != nil {
		return nil, err
	}
	return store.Environment(ctx, m.config.Name, environment, time.Now(), during)
}

// store reaches what keeps metrics.
func (m *Metrics) store(ctx context.Context) (metrics.Store, error) {
	pod, err := m.pod(ctx, ErrNoMetrics)
	if err != nil {
		return metrics.Store{}, err
	}
	at := kube.PodAddress{Namespace: metricsNamespace, Pod: pod.Name, Port: metricsPort}
	reach := kube.Config(m.cluster.REST)
	return metrics.Store{Get: func(ctx context.Context, path string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, metricsPatience)
		defer cancel()
		return kube.PodGet(ctx, m.client.CoreV1().RESTClient(), reach, at, path)
	}}, nil
}

// Query answers a question in PromQL: for now, or for each of 60 steps of the time
// before, where that is not 0.
func (m *Metrics) Query(ctx context.Context, promql string, during time.Duration) ([]metrics.Series, error) {
	store, err := m.store(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if during == 0 {
		return store.Query(ctx, promql, now)
	}
	return store.Range(ctx, promql, now.Add(-during), now, max(time.Second, during/60))
}

// MetricsStatus is how keeping metrics is doing.
type MetricsStatus struct {
	// Days is for how many days they are kept.
	Days int `json:"days"`
	// Sources are where metrics come from: nodes, and pods of the ingress. Silent are
	// those of them that do not answer.
	Sources int      `json:"sources"`
	Silent  []string `json:"silent"`
}

// Status asks which sources answer.
func (m *Metrics) Status(ctx context.Context) (*MetricsStatus, error) {
	present, err := m.present(ctx)
	if err == nil && present == nil {
		err = ErrNoMetrics
	}
	if err != nil {
		return nil, err
	}
	store, err := m.store(ctx)
	if err != nil {
		return nil, err
	}
	s := &MetricsStatus{Silent: []string{}}
	for _, container := range present.Spec.Template.Spec.Containers {
		for _, argument := range container.Args {
			if days, ok := strings.CutPrefix(argument, "-retentionPeriod="); ok {
				s.Days, _ = strconv.Atoi(strings.TrimSuffix(days, "d")) // the chart writes days
			}
		}
	}
	found, err := store.Query(ctx, "up", time.Now())
	if err != nil {
		return nil, err
	}
	for _, series := range found {
		s.Sources++
		if len(series.Points) == 0 || series.Points[0].Value != 1 {
			s.Silent = append(s.Silent, fmt.Sprintf("%s of %s", series.Labels["instance"], series.Labels["job"]))
		}
	}
	slices.Sort(s.Silent)
	return s, nil
}
