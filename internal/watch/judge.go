package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	core "k8s.io/api/core/v1"

	"berth/internal/rollout"
)

// A Problem is one thing that is wrong: one cause, however much suffers of it.
type Problem struct {
	// Key names the cause, and stays the same while it lasts.
	Key string
	// Namespace is empty for what is no environment's, as a node.
	Namespace string
	// Kind is Kubernetes' own word where it has one: CrashLoopBackOff, Evicted.
	Kind string
	// Title says it in a few words: "web is in a crash loop".
	Title string
	// Detail says more of it; may be empty.
	Detail string
	// Reasons are the deploy's own diagnosis; may be empty.
	Reasons []rollout.Reason
	// Once says that it is an event, which does not heal.
	Once bool
}

// Judge returns the problems of a world, whether they will last or not.
func Judge(w *World) []Problem {
	var all []Problem
	for _, part := range []func(*World) []Problem{judgeNodes, judgeWorkloads, judgeJobs, judgeCronJobs, judgeDisks, judgeCertificates, judgeSinks} {
		all = append(all, part(w)...)
	}
	slices.SortFunc(all, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// pressures are the conditions of a node that are bad when they are true.
var pressures = []struct {
	kind core.NodeConditionType
	what string
}{
	{core.NodeMemoryPressure, "is short of memory"},
	{core.NodeDiskPressure, "is short of disk space"},
	{core.NodePIDPressure, "is short of process IDs"},
	{core.NodeNetworkUnavailable, "has no network"},
}

func judgeNodes(w *World) []Problem {
	var all []Problem
	for _, node := range w.Nodes {
		ready := nodeCondition(node, core.NodeReady)
		if ready == nil {
			continue // it is only joining
		}
		if ready.Status != core.ConditionTrue {
			p := Problem{Key: "node/" + node.Name, Kind: "NotReady", Title: "node " + node.Name + " is gone", Detail: ready.Message}
			if ready.Status == core.ConditionFalse {
				p.Title = "node " + node.Name + " is not ready"
			}
			if pods := w.runningOn(node.Name); len(pods) > 0 {
				p.Detail += "; on it: " + list(pods, 10)
			}
			all = append(all, p)
			continue
		}
		for _, pressure := range pressures {
			if c := nodeCondition(node, pressure.kind); c != nil && c.Status == core.ConditionTrue {
				all = append(all, Problem{Key: "node/" + node.Name, Kind: string(pressure.kind),
					Title: "node " + node.Name + " " + pressure.what, Detail: c.Message})
				break
			}
		}
	}
	return all
}

// runningOn names the pods of a node.
func (w *World) runningOn(node string) []string {
	var names []string
	for _, pod := range w.Pods {
		if pod.Spec.NodeName == node && pod.Status.Phase == core.PodRunning {
			names = append(names, pod.Namespace+"/"+pod.Name)
		}
	}
	slices.Sort(names)
	return names
}

// list writes the first of several names.
func list(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// fullAt is how full a disk may be, and endsIn how near a certificate's end.
const (
	fullAt = 0.85
	endsIn = 14 * 24 * time.Hour
)

func judgeDisks(w *World) []Problem {
	var all []Problem
	// Several nodes on one machine have one disk.
	nodes := map[[2]int64][]string{}
	for _, d := range w.Disks {
		if d.Claim == "" {
			size := [2]int64{d.Capacity, d.Used >> 28}
			nodes[size] = append(nodes[size], d.Node)
		}
	}
	for _, d := range w.Disks {
		if d.Capacity <= 0 || float64(d.Used) < fullAt*float64(d.Capacity) {
			continue
		}
		percent := int(float64(d.Used) * 100 / float64(d.Capacity))
		detail := fmt.Sprintf("%s of %s are used", humanize.Bytes(uint64(max(0, d.Used))), humanize.Bytes(uint64(max(0, d.Capacity))))
		if !d.Full.IsZero() && d.Full.Before(w.Now.Add(60*24*time.Hour)) {
			detail += ", and more by the hour: it is full " + when(d.Full, w.Now)
		}
		p := Problem{Kind: "VolumeFull", Detail: detail, Namespace: d.Namespace,
			Key: d.Namespace + "/volume/" + d.Claim, Title: fmt.Sprintf("volume %s is %d %% full", d.Claim, percent)}
		if d.Claim == "" {
			names := slices.Sorted(slices.Values(nodes[[2]int64{d.Capacity, d.Used >> 28}]))
			if names[0] != d.Node {
				continue
			}
			p.Kind, p.Key, p.Title = "DiskFull", "disk/"+d.Node, fmt.Sprintf("the disk of %s is %d %% full", list(names, 5), percent)
		}
		all = append(all, p)
	}
	return all
}

func judgeCertificates(w *World) []Problem {
	var all []Problem
	for _, c := range w.Certificates {
		if c.Ends.Sub(w.Now) >= endsIn {
			continue
		}
		what := "ends " + when(c.Ends, w.Now)
		if !c.Ends.After(w.Now) {
			what = "ended on " + c.Ends.UTC().Format(time.DateOnly)
		}
		detail := "on " + c.Ends.UTC().Format("2006-01-02 15:04 UTC") + "; nothing has renewed it"
		if c.Problem != "" {
			detail += ": " + c.Problem
		}
		all = append(all, Problem{Key: c.Namespace + "/certificate/" + c.Name, Namespace: c.Namespace, Kind: "CertificateEnds",
			Title: fmt.Sprintf("the certificate of %s %s", cmp.Or(list(c.Hosts, 3), c.Name), what), Detail: detail})
	}
	return all
}

func judgeSinks(w *World) []Problem {
	gone := w.gone()
	type about struct {
		name  string
		agent bool
	}
	failing, lost := map[about][]Sink{}, map[about]int64{}
	for _, s := range w.Sinks {
		if slices.Contains(gone, s.Node) {
			continue // the node's own problem
		}
		if s.Failing || s.Agent {
			failing[about{s.Name, s.Agent}] = append(failing[about{s.Name, s.Agent}], s)
		}
		lost[about{s.Name, false}] += s.Lost
	}
	var all []Problem
	for key, sinks := range failing {
		var nodes []string
		answer := ""
		for _, s := range sinks {
			nodes = append(nodes, s.Node)
			answer = cmp.Or(answer, s.Answer)
		}
		slices.Sort(nodes)
		p := Problem{Key: "logs/" + key.name, Kind: "SinkFailing",
			Title: "log lines do not arrive in " + key.name, Detail: "from " + list(nodes, 5) + ": " + answer}
		if key.agent {
			p.Key, p.Kind, p.Title = "logs", "AgentSilent", "the log agent does not answer"
		}
		all = append(all, p)
	}
	for key, n := range lost {
		if n > 0 {
			all = append(all, Problem{Key: "logs/lost/" + key.name, Kind: "LinesLost", Once: true,
				Title: fmt.Sprintf("%d log lines for %s were lost", n, key.name)})
		}
	}
	return all
}

// when writes a time that is to come for people.
func when(at, now time.Time) string {
	switch left := at.Sub(now); {
	case left < 2*time.Hour:
		return fmt.Sprintf("in %d minutes", max(1, int(left.Minutes())))
	case left < 48*time.Hour:
		return fmt.Sprintf("in %d hours", int(left.Hours()))
	default:
		return fmt.Sprintf("in %d days", int(left.Hours()/24))
	}
}
