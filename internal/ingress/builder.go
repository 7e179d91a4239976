package ingress

import (
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

type builder struct {
	model    *Model
	hosts    map[string]*hostBuilder
	pools    map[string]Pool
	limits   map[string]Limit
	services serviceIndex
	secrets  secretIndex
	now      time.Time
	problems []Problem
	told     map[Problem]bool
}

func (b *builder) problem(ing *networkingv1.Ingress, reason, format string, arguments ...any) {
	p := Problem{ing, reason, fmt.Sprintf(format, arguments...)}
	// Two paths to one missing Service are one mistake.
	if !b.told[p] {
		b.told[p] = true
		b.problems = append(b.problems, p)
	}
}

func (b *builder) host(name string) *hostBuilder {
	if b.hosts[name] == nil {
		b.hosts[name] = &hostBuilder{Host: Host{Name: name}, routes: map[routeKey]routed{}}
	}
	return b.hosts[name]
}

// hostBuilder gathers what several Ingresses say about one host.
type hostBuilder struct {
	Host
	owner  *networkingv1.Ingress // the oldest that names it
	routes map[routeKey]routed
	tls    *networkingv1.Ingress // the one that TLS comes from
	secret string
	root   string // where "/" is redirected
}

type routeKey struct {
	path  string
	match Match
}

type routed struct {
	route
	from *parsed
}

func key(ing *networkingv1.Ingress) string { return ing.Namespace + "/" + ing.Name }
