package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A pod's name is known for as long as its counters are; who has its address later
// has it at once.
func TestPodNames(t *testing.T) {
	slice := func(namespace, address, pod string) *discoveryv1.EndpointSlice {
		port := int32(8000)
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
			Ports:      []discoveryv1.EndpointPort{{Port: &port}, {}},
			Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}},
				{Addresses: []string{"10.118.1.99"}}, // nobody's
			},
		}
	}
	var names podNames
	now := time.Now()
	names.learn([]*discoveryv1.EndpointSlice{slice("shop", "10.118.1.7", "web-1"), slice("shop", "fd00::7", "web-6"), slice("other", "10.118.1.8", "web-1")}, now)
	want := func(namespace, address, pod string) {
		t.Helper()
		if got := names.of(namespace, address); got != pod {
			t.Errorf("%s of %s is pod %q, want %q", address, namespace, got, pod)
		}
	}
	want("shop", "10.118.1.7:8000", "web-1")
	want("shop", "[fd00::7]:8000", "web-6")
	want("shop", "10.118.1.7:8001", "")
	want("shop", "10.118.1.8:8000", "")
	want("shop", "10.118.1.99:8000", "")

	names.learn([]*discoveryv1.EndpointSlice{slice("other", "10.118.1.8", "web-2")}, now.Add(10*time.Minute))
	want("shop", "10.118.1.7:8000", "web-1")
	want("other", "10.118.1.8:8000", "web-2")
	names.learn(nil, now.Add(16*time.Minute))
	want("shop", "10.118.1.7:8000", "")
	want("other", "10.118.1.8:8000", "web-2")
}
