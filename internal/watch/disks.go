package watch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

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
