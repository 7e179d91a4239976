package rollout

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

// unhealthy is the reason of a container that its probe does not find healthy.
const unhealthy = "Unhealthy"

// A verdict is what the kubelet says of a probe that failed.
type verdict struct {
	// what follows "GET /path on port N".
	what, hint string
	// final says that the same program will not answer otherwise later.
	final bool
	// refused says that nothing listens there.
	refused bool
}

var (
	statusCode = regexp.MustCompile(`statuscode: (\d+)`)
	requested  = regexp.MustCompile(`Get "?(https?)://([^/"]+)`)
)

// judge reads the message of an Unhealthy event.
func judge(message, scheme string) verdict {
	const keys = "health and port are in berth.yaml"
	asked := requested.FindStringSubmatch(message)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(message, part) {
				return true
			}
		}
		return false
	}
	if m := statusCode.FindStringSubmatch(message); m != nil {
		code, _ := strconv.Atoi(m[1])
		v := verdict{what: "answers " + m[1], hint: keys, final: code == 400 || code == 401 || code == 403 || code == 405}
		switch {
		case code == 401:
			v.hint = keys + ": health has to be a path that needs no login"
		case code == 403:
			v.hint = keys + ": health has to be a path that needs no login; or the program does not know the host that the probe asks for, and health.host names another"
		case code == 400:
			v.hint = keys + ": the program may refuse the name that the probe asks for (Django's ALLOWED_HOSTS), and health.host names another; or it may expect TLS, which ends at the ingress"
		case code == 404:
			v.hint = keys + ": the program has no such path"
		case code >= 500:
			v.hint = "the program's own log says why; " + keys
		}
		return v
	}
	switch {
	case has("stopped after 10 redirects"):
		return verdict{what: "redirects in a circle, which the probe follows", hint: keys, final: true}
	case len(asked) > 1 && asked[1] == "https" && !strings.EqualFold(scheme, "https"):
		return verdict{what: "redirects to https, which the probe follows and nothing there answers", final: true,
			hint: keys + ": let the health path answer plain HTTP; TLS ends at the ingress"}
	case has("server gave HTTP response to HTTPS client"):
		return verdict{what: "answers plain HTTP, where the probe asks for TLS", hint: "upstreamTLS is in berth.yaml", final: true}
	case has(`malformed HTTP response "\x00\x00`):
		return verdict{what: "is answered in HTTP/2 alone, as by gRPC", hint: keys + ": probes and the ingress controller ask in HTTP/1.1", final: true}
	case has("malformed HTTP", "tls: ", "x509: "):
		return verdict{what: "answers no HTTP; it may be TLS", hint: keys + ": the program has to listen for plain HTTP, TLS ends at the ingress", final: true}
	case has("connection refused"):
		return verdict{what: "is refused: the program runs, but nothing listens there", refused: true,
			hint: keys + ": listen on 0.0.0.0, not on 127.0.0.1, and on the port of $PORT"}
	case has("context deadline exceeded", "Client.Timeout", "i/o timeout", "no route to host"):
		return verdict{what: "does not answer in time", hint: "health, with its timeout, and port are in berth.yaml"}
	case has("EOF", "connection reset", "broken pipe"):
		return verdict{what: "has its connection closed without an answer", hint: keys + ": what listens there may speak no HTTP (PHP-FPM, for one)"}
	}
	_, after, _ := strings.Cut(message, "probe failed: ")
	return verdict{what: "fails: " + strings.TrimSpace(after), hint: keys}
}

// probe is what the kubelet asks of a container until it has started.
type probe struct {
	path, port, scheme string
	// startup is how long the container may take.
	startup time.Duration
}

func probeOf(pod *core.Pod, container string) (p probe, ok bool) {
	for _, c := range pod.Spec.Containers {
		if c.Name != container || c.StartupProbe == nil || c.StartupProbe.HTTPGet == nil {
			continue
		}
		get := c.StartupProbe.HTTPGet
		p = probe{path: get.Path, port: get.Port.String(), scheme: string(get.Scheme)}
		p.startup = time.Duration(c.StartupProbe.InitialDelaySeconds+
			max(1, c.StartupProbe.PeriodSeconds)*max(1, c.StartupProbe.FailureThreshold)) * time.Second
		for _, named := range c.Ports {
			if named.Name == p.port {
				p.port = strconv.Itoa(int(named.ContainerPort))
			}
		}
		return p, true
	}
	return p, false
}

// skew is how much the clocks of nodes and this machine may differ.
const skew = 10 * time.Second

// probeReason returns what a container's probe meets, if it fails and if that is
// why the container does not serve.
func (s *Snapshot) probeReason(pod *core.Pod, c core.ContainerStatus, now time.Time) (Reason, bool) {
	p, ok := probeOf(pod, c.Name)
	event := s.lastUnhealthy(pod, c.Name)
	if !ok || event == nil || c.Ready {
		return Reason{}, false
	}
	v := judge(event.Message, p.scheme)
	r := Reason{
		Object: "pod " + pod.Name, Node: pod.Spec.NodeName, Pod: pod.Name, Container: c.Name, Restarts: c.RestartCount,
		Reason: unhealthy, Message: fmt.Sprintf("GET %s on port %s %s", p.path, p.port, v.what), Hint: v.hint,
		passing: !v.final, refused: v.refused, port: p.port,
	}
	started := c.Started != nil && *c.Started
	late := c.State.Running != nil && !started && now.Sub(c.State.Running.StartedAt.Time) > p.startup+skew
	if late || killedByProbe(c, p.startup) || s.killing(pod, c.Name) {
		r.passing, r.exhausted = false, true
		r.Message += fmt.Sprintf(", for the %s that it may take to start", p.startup)
		return r, true
	}
	// One that ended by itself has more to say of it.
	return r, c.State.Running != nil
}

// killedByProbe reports whether a container ended because its start-up probe
// never succeeded: as late as its last chance, on the kubelet's signal.
func killedByProbe(c core.ContainerStatus, startup time.Duration) bool {
	end := lastEnd(c)
	if end == nil || startup == 0 || end.FinishedAt.Sub(end.StartedAt.Time) < startup-2*time.Second {
		return false
	}
	return end.Reason != "OOMKilled" && (end.ExitCode == 0 || end.ExitCode > 128)
}

// lastUnhealthy is the newest event of a container's failing probe, or nil.
// Messages say which probe it was but not of which container; a pod of berth's
// has one with probes.
func (s *Snapshot) lastUnhealthy(pod *core.Pod, container string) *core.Event {
	return s.lastEvent(pod, container, func(e *core.Event) bool {
		return e.Reason == unhealthy && strings.Contains(e.Message, "probe failed")
	})
}

// killing reports whether the kubelet says that it stops a container for its
// start-up probe. It drops events when a pod has many.
func (s *Snapshot) killing(pod *core.Pod, container string) bool {
	return s.lastEvent(pod, container, func(e *core.Event) bool {
		return e.Reason == "Killing" && strings.Contains(e.Message, "failed startup probe")
	}) != nil
}

func (s *Snapshot) lastEvent(pod *core.Pod, container string, is func(*core.Event) bool) *core.Event {
	var last *core.Event
	for i := range s.events {
		e := &s.events[i]
		if e.InvolvedObject.Kind != "Pod" || e.InvolvedObject.Name != pod.Name || e.InvolvedObject.UID != pod.UID || !is(e) {
			continue
		}
		if field := e.InvolvedObject.FieldPath; field != "" && field != "spec.containers{"+container+"}" {
			continue
		}
		if last == nil || eventTime(e).After(eventTime(last)) {
			last = e
		}
	}
	return last
}

var listening = regexp.MustCompile(`(?i)\b(?:listening|running|serving|started|bound|server)\b[^\n]*?\b(?:on|at|to)\b:?\s*(?:port\s+|address\s+)?"?(?:https?://)?(?:(\[[0-9a-f:]+\]|[\w.*-]+)?:)?(\d{2,5})\b`)

// listensElsewhere tells of a log that names an address where no request can
// arrive: the loopback, or another port.
func listensElsewhere(lines []string, port string) string {
	for i := len(lines) - 1; i >= 0; i-- {
		m := listening.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		host, on := strings.Trim(m[1], "[]"), m[2]
		ip := net.ParseIP(host)
		if host == "localhost" || ip != nil && ip.IsLoopback() {
			return fmt.Sprintf("the program says that it listens on %s, where only the pod itself reaches it", net.JoinHostPort(host, on))
		}
		if on != port && (host == "" || host == "*" || ip != nil) {
			return fmt.Sprintf("the program says that it listens on port %s", on)
		}
		return ""
	}
	return ""
}
