package ingress

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
)

// serviceIndex finds Services and their EndpointSlices by the Service's name.
type serviceIndex struct {
	services map[types.NamespacedName]*corev1.Service
	slices   map[types.NamespacedName][]*discoveryv1.EndpointSlice
}

func indexServices(objects Objects) serviceIndex {
	index := serviceIndex{
		services: map[types.NamespacedName]*corev1.Service{},
		slices:   map[types.NamespacedName][]*discoveryv1.EndpointSlice{},
	}
	for _, service := range objects.Services {
		index.services[types.NamespacedName{Namespace: service.Namespace, Name: service.Name}] = service
	}
	for _, slice := range objects.EndpointSlices {
		name := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		index.slices[name] = append(index.slices[name], slice)
	}
	return index
}

// backendKey names a backend. Labels and ports hold no dots, so no two share a
// key. It does not depend on the Service, which may come and go.
func backendKey(namespace string, backend networkingv1.IngressServiceBackend) string {
	port := backend.Port.Name
	if port == "" {
		port = strconv.Itoa(int(backend.Port.Number))
	}
	return namespace + "." + backend.Name + "." + port
}

// endpoints returns those behind a port of a Service. A Service without any is
// not an error: it may be between two deployments.
func (index serviceIndex) endpoints(namespace string, backend networkingv1.IngressServiceBackend) ([]string, error) {
	name := types.NamespacedName{Namespace: namespace, Name: backend.Name}
	service, ok := index.services[name]
	if !ok {
		return nil, fmt.Errorf("service %s does not exist", name)
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, fmt.Errorf("service %s is an ExternalName, which is not supported", name)
	}
	wanted := backend.Port
	at := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
		if wanted.Name != "" {
			return p.Name == wanted.Name
		}
		return p.Port == wanted.Number && p.Protocol != corev1.ProtocolUDP
	})
	if at < 0 {
		return nil, fmt.Errorf("service %s has no port %s", name, portText(wanted))
	}
	ready, terminating := readyServers(index.slices[name], service.Spec.Ports[at].Name)
	if len(ready) == 0 {
		// As kube-proxy does: what is stopping but still serves is better than
		// an error.
		return terminating, nil
	}
	return ready, nil
}

// readyServers returns the addresses behind the Service port with the given
// name. EndpointSlices carry the resolved number under that name, which is how
// named target ports are found.
func readyServers(endpointSlices []*discoveryv1.EndpointSlice, portName string) (ready, terminating []string) {
	for _, slice := range endpointSlices {
		for _, port := range slice.Ports {
			if value(port.Name, "") != portName || port.Port == nil || *port.Port < 1 || *port.Port > 65535 {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				for _, text := range endpoint.Addresses[:min(1, len(endpoint.Addresses))] {
					address, err := netip.ParseAddr(text)
					if err != nil || address.Zone() != "" {
						continue // a slice of address type FQDN
					}
					server := netip.AddrPortFrom(address, uint16(*port.Port)).String()
					switch {
					case value(endpoint.Conditions.Ready, true):
						ready = append(ready, server)
					case value(endpoint.Conditions.Serving, false) && value(endpoint.Conditions.Terminating, false):
						terminating = append(terminating, server)
					}
				}
			}
		}
	}
	slices.Sort(ready)
	slices.Sort(terminating)
	return slices.Compact(ready), slices.Compact(terminating)
}

func value[T any](pointer *T, absent T) T {
	if pointer == nil {
		return absent
	}
	return *pointer
}

func portText(port networkingv1.ServiceBackendPort) string {
	if port.Name != "" {
		return strconv.Quote(port.Name)
	}
	return strconv.Itoa(int(port.Number))
}
