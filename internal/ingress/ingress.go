// Package ingress turns Kubernetes Ingress objects into NGINX configuration.
//
// It is the pure half of the local ingress controller: Build takes the objects
// as the API server gave them and returns a Model, and Model.Render writes the
// configuration. Neither reads a file, a clock or a cluster, so a test or a
// benchmark renders a configuration from objects it made up. The other half
// lives beside it: package nginx runs the server, package controller watches
// the cluster.
//
// Everything an Ingress says is data. It is checked against an allow-list while
// the Model is built, and every value reaches the configuration through quote,
// so that it cannot end the parameter it stands in. docs/ingress.md describes
// what users see.
package ingress

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Objects are the input of a configuration. The Ingresses are those of the
// controller's own class; the rest may include objects that they do not name.
type Objects struct {
	Ingresses      []*networkingv1.Ingress
	Services       []*corev1.Service
	EndpointSlices []*discoveryv1.EndpointSlice
	Secrets        []*corev1.Secret

	// Now is when certificates are compared with their dates; the zero time
	// compares none.
	Now time.Time
}

// Reasons of a Problem, used as the reason of its Event.
const (
	ReasonInvalid  = "InvalidIngress"     // something in it cannot be served: its paths answer 503
	ReasonClosed   = "ProtectionMissing"  // its paths answer 503: it relies on what is not to be had here
	ReasonCanary   = "CanaryLeftOut"      // not served: it asks for a part of another one's requests
	ReasonRefused  = "RefusedByNGINX"     // left out: NGINX refused the configuration with it
	ReasonConflict = "Conflict"           // an older Ingress has the host, the path or the certificate
	ReasonSecret   = "InvalidSecret"      // TLS handshakes for its hosts are refused
	ReasonExpired  = "CertificateExpired" // served with a certificate that clients refuse
	ReasonAuth     = "InvalidPasswords"   // its paths answer 503
	ReasonService  = "ServiceNotFound"    // its paths answer 503
	ReasonTrust    = "InvalidUpstreamCA"  // its TLS upstreams answer 503
	ReasonIgnored  = "AnnotationsIgnored" // served without what they ask for
	ReasonUnused   = "CertificateUnused"  // its spec.tls names a host that its rules do not
	ReasonLiteral  = "PathTakenLiterally" // looks like a regular expression
)

// Problem is something about one Ingress that its author needs to change.
type Problem struct {
	Ingress *networkingv1.Ingress
	Reason  string
	Message string
}

// LeftOut reports whether nothing of the Ingress is served.
func (p Problem) LeftOut() bool {
	return p.Reason == ReasonInvalid || p.Reason == ReasonClosed || p.Reason == ReasonCanary || p.Reason == ReasonRefused
}

// byAge orders Ingresses oldest first: where two of them want the same thing,
// the one that had it keeps it. Names settle equal ages, so that the result
// does not depend on the order of a list.
func byAge(ingresses []*networkingv1.Ingress) []*networkingv1.Ingress {
	return slices.SortedFunc(slices.Values(ingresses), func(a, b *networkingv1.Ingress) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
		)
	})
}
