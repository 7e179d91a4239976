package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
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

// blind says what could not be looked at.
func (l *looks) blind() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(l.blindTo)) {
		all = append(all, what+": "+l.blindTo[what])
	}
	return all
}

// sees notes whether something could be looked at.
func (l *looks) sees(what string, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.blindTo, what)
	if err != nil {
		l.blindTo[what] = err.Error()
	}
}

// get asks for JSON.
func get(ctx context.Context, client *http.Client, address string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return json.NewDecoder(io.LimitReader(response.Body, answerLimit)).Decode(answer)
}

// summary is what is asked of a kubelet's statistics,
// https://kubernetes.io/docs/reference/instrumentation/node-metrics/.
type summary struct {
	Node struct{ FS fsStats }
	Pods []struct {
		PodRef struct{ Namespace string }
		Volume []struct {
			fsStats
			PVCRef *struct{ Name, Namespace string } `json:"pvcRef"`
		} `json:"volume"`
	}
}

type fsStats struct {
	AvailableBytes, CapacityBytes int64
}

func (l *looks) lookAtDisks(ctx context.Context, w *World) {
	var found []Disk
	asked := map[string]bool{}
	for _, node := range w.Nodes {
		if slices.Contains(w.gone(), node.Name) {
			continue
		}
		asked[node.Name] = true
		disks, err := l.disksOf(ctx, node, w)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("its kubelet cannot be asked: %w", err)
		}
		l.sees("the disks of "+node.Name, err)
		found = append(found, disks...)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for what := range l.blindTo {
		if node, ok := strings.CutPrefix(what, "the disks of "); ok && !asked[node] {
			delete(l.blindTo, what)
		}
	}
	for _, d := range found {
		key := d.Namespace + "/" + d.Claim + "/" + d.Node
		if l.disks[key] == nil {
			l.disks[key] = &diskHistory{}
		}
		l.disks[key].add(d, w.Now)
	}
	for key, history := range l.disks {
		if w.Now.Sub(history.seen) > 10*time.Minute {
			delete(l.disks, key) // it is gone
		}
	}
}

func (l *looks) disksOf(ctx context.Context, node *core.Node, w *World) ([]Disk, error) {
	address := ""
	for _, a := range node.Status.Addresses {
		if a.Type == core.NodeInternalIP && address == "" {
			address = a.Address
		}
	}
	port := int(node.Status.DaemonEndpoints.KubeletEndpoint.Port)
	if address == "" || port == 0 {
		return nil, errors.New("its address is not known")
	}
	var s summary
	if err := get(ctx, l.kubelets, "https://"+net.JoinHostPort(address, strconv.Itoa(port))+"/stats/summary", &s); err != nil {
		return nil, err
	}
	disks := []Disk{{Node: node.Name, Capacity: s.Node.FS.CapacityBytes, Used: s.Node.FS.CapacityBytes - s.Node.FS.AvailableBytes}}
	for _, pod := range s.Pods {
		for _, v := range pod.Volume {
			if v.PVCRef == nil || !slices.Contains(l.options.Namespaces, v.PVCRef.Namespace) {
				continue
			}
			if v.CapacityBytes == s.Node.FS.CapacityBytes {
				continue // a folder on the node's disk, which is looked at itself
			}
			disks = append(disks, Disk{Namespace: v.PVCRef.Namespace, Claim: v.PVCRef.Name, Capacity: v.CapacityBytes, Used: v.CapacityBytes - v.AvailableBytes})
		}
	}
	return disks, nil
}

// diskHistory is what a disk was like, for how fast it fills.
type diskHistory struct {
	last Disk
	seen time.Time
	// points are about an hour apart, the oldest a day old.
	points []diskPoint
}

type diskPoint struct {
	at   time.Time
	used int64
}

const (
	pointPause = time.Hour
	mostPoints = 25
)

func (h *diskHistory) add(d Disk, now time.Time) {
	h.last, h.seen = d, now
	if n := len(h.points); n == 0 || now.Sub(h.points[n-1].at) >= pointPause {
		h.points = append(h.points, diskPoint{now, d.Used})
	}
	if len(h.points) > mostPoints {
		h.points = h.points[1:]
	}
}

// disk is the disk as it was last seen, with when it will be full.
func (h *diskHistory) disk() Disk {
	d, first := h.last, h.points[0]
	took, grew := h.seen.Sub(first.at), d.Used-first.used
	if took < pointPause || grew <= 0 || d.Capacity <= d.Used {
		return d
	}
	hours := float64(d.Capacity-d.Used) / (float64(grew) / took.Hours())
	if hours < 24*365 {
		d.Full = h.seen.Add(time.Duration(hours * float64(time.Hour)))
	}
	return d
}

// agentStatus is what a log agent answers; docs/logs.md has all of it.
type agentStatus struct {
	Sinks []struct {
		Name, State, Answer string
		Dropped, Rejected   int64
	}
}

// lineCount is how many lines a sink of an agent has lost.
type lineCount struct {
	last, lost int64
	at         time.Time
}

// sinkNames are what the agent calls its sinks, for people.
var sinkNames = map[string]string{"awss3": "the bucket", "otlp_http": "the aggregator", "frames": "the aggregator"}

func (l *looks) lookAtSinks(ctx context.Context, w *World) {
	client := &http.Client{Timeout: 5 * time.Second}
	var found []Sink
	for _, pod := range w.Pods {
		kind, name := ownerOf(pod)
		if kind != "DaemonSet" || pod.Namespace != "logging" || name != "collector" || pod.Status.PodIP == "" ||
			pod.Status.Phase != core.PodRunning || pod.DeletionTimestamp != nil || w.onGoneNode(pod) {
			continue
		}
		ready := podCondition(pod, core.PodReady)
		if ready == nil || ready.Status != core.ConditionTrue {
			continue // the workload's problem
		}
		var s agentStatus
		if err := get(ctx, client, "http://"+net.JoinHostPort(pod.Status.PodIP, agentPort)+"/status", &s); err != nil {
			if ctx.Err() == nil {
				found = append(found, Sink{Node: pod.Spec.NodeName, Name: "agent", Agent: true, Answer: err.Error()})
			}
			continue
		}
		for _, sink := range s.Sinks {
			name := sinkNames[sink.Name]
			if name == "" {
				name = sink.Name
			}
			found = append(found, Sink{Node: pod.Spec.NodeName, Name: name, Failing: sink.State == "failing", Answer: sink.Answer,
				Lost: l.lost(pod.Spec.NodeName+"/"+sink.Name, sink.Dropped+sink.Rejected, w.Now)})
		}
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.sinks = found
}

// lost returns how many lines were lost lately, from a counter that begins again
// with its agent.
func (l *looks) lost(key string, total int64, now time.Time) int64 {
	count := l.lines[key]
	if count == nil {
		l.lines[key] = &lineCount{last: total}
		return 0
	}
	more := total - count.last
	if more < 0 {
		more = total
	}
	count.last = total
	if now.Sub(count.at) > lostWindow {
		count.lost = 0
	}
	if more > 0 {
		count.lost, count.at = count.lost+more, now
	}
	return count.lost
}
