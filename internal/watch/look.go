package watch

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// The times between two looks.
	disksPause        = time.Minute
	sinksPause        = 15 * time.Second
	certificatesPause = time.Minute
	// lostWindow is how long lines that were lost are told of.
	lostWindow = 10 * time.Minute
	// agentPort is where the log agent says how its sinks do.
	agentPort = "13134"
	// answerLimit bounds what a kubelet or an agent may answer, in bytes.
	answerLimit = 16 << 20
)

// looks finds out what the API server does not have: how full disks are, which
// the kubelets know; whether log lines arrive, which the log agents know; and when
// certificates end, which a server shows to its clients.
type looks struct {
	options Options
	client  *API
	// kubelets speaks with them directly. The right to do so by the API server,
	// nodes/proxy, would be one to run commands in every pod.
	kubelets *http.Client

	mutex        sync.Mutex
	disks        map[string]*diskHistory
	certificates []Certificate
	sinks        []Sink
	blindTo      map[string]string
	// lines counts those that were lost, by node and sink.
	lines map[string]*lineCount
}

func newLooks(o Options, client *API) (*looks, error) {
	reach := rest.CopyConfig(o.Kubernetes)
	reach.Timeout = 30 * time.Second
	kubelets, err := rest.HTTPClientFor(reach)
	if err != nil {
		return nil, fmt.Errorf("prepare to ask the kubelets: %w", err)
	}
	return &looks{options: o, client: client, kubelets: kubelets, disks: map[string]*diskHistory{},
		blindTo: map[string]string{}, lines: map[string]*lineCount{}}, nil
}

// run looks until ctx ends.
func (l *looks) run(ctx context.Context, c *cluster) {
	var all sync.WaitGroup
	every := func(pause time.Duration, look func(context.Context, *World)) {
		all.Go(func() {
			for {
				look(ctx, c.world(time.Now()))
				c.touch()
				select {
				case <-ctx.Done():
					return
				case <-time.After(pause):
				}
			}
		})
	}
	every(disksPause, l.lookAtDisks)
	every(sinksPause, l.lookAtSinks)
	every(certificatesPause, l.lookAtCertificates)
	all.Wait()
}

// add puts what was found into a world.
func (l *looks) add(w *World) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, key := range slices.Sorted(maps.Keys(l.disks)) {
		w.Disks = append(w.Disks, l.disks[key].disk())
	}
	w.Certificates, w.Sinks = l.certificates, l.sinks
}

const (
	pointPause = time.Hour
	mostPoints = 25
)

// sinkNames are what the agent calls its sinks, for people.
var sinkNames = map[string]string{"awss3": "the bucket", "otlp_http": "the aggregator", "frames": "the aggregator"}
