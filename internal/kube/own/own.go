// Package own says what belongs to berth in a cluster, and until when. It is a package of
// its own so that a small program may ask without a client for all of Kubernetes' API.
package own

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Manager is the field manager of everything that berth applies, and the value
// of the label [ManagedBy] on what it makes. It never changes an object that
// carries the label with another value, or not at all.
const (
	Manager   = "berth"
	ManagedBy = "app.kubernetes.io/managed-by"
)

// ExpiresAnnotation says until when what is made for a time may last, in RFC 3339.
const ExpiresAnnotation = "berth/expires"

// Expired reports whether the time is over for which something was made.
func Expired(object metav1.Object, now time.Time) bool {
	until, err := time.Parse(time.RFC3339, object.GetAnnotations()[ExpiresAnnotation])
	return err == nil && now.After(until)
}

// Owned reports whether berth made an object.
func Owned(object metav1.Object) bool { return object.GetLabels()[ManagedBy] == Manager }
