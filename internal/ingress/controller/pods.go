package controller

import (
	"net/netip"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// podMemory is how long the name of a pod that has gone is known. It is longer
// than its counters are there, as a counter must not change its labels.
const podMemory = 15 * time.Minute

// podNames knows which pods endpoints are.
type podNames struct {
	mu    sync.Mutex
	known map[podAddress]podName
}

type podAddress struct{ namespace, address string }

type podName struct {
	name string
	seen time.Time
}

// learn takes the pods of EndpointSlices. Who has an address now, goes before who
// had it.
func (p *podNames) learn(endpointSlices []*discoveryv1.EndpointSlice, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[podAddress]podName{}
	}
	for _, slice := range endpointSlices {
		for _, port := range slice.Ports {
			if port.Port == nil || *port.Port < 1 || *port.Port > 65535 {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if endpoint.TargetRef == nil || endpoint.TargetRef.Kind != "Pod" || len(endpoint.Addresses) == 0 {
					continue
				}
				address, err := netip.ParseAddr(endpoint.Addresses[0])
				if err != nil {
					continue // a slice of address type FQDN
				}
				at := podAddress{slice.Namespace, netip.AddrPortFrom(address, uint16(*port.Port)).String()}
				p.known[at] = podName{endpoint.TargetRef.Name, now}
			}
		}
	}
	for at, pod := range p.known {
		if now.Sub(pod.seen) > podMemory {
			delete(p.known, at)
		}
	}
}

// of returns the name of the pod at an address, "" where it is none that is known.
func (p *podNames) of(namespace, address string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[podAddress{namespace, address}].name
}
