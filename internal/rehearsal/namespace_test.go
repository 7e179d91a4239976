package rehearsal

import (
	"strings"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/config"
	"berth/internal/kube/own"
	"berth/internal/platform"
	"berth/internal/progress"
)

func TestNamesOfNamespaces(t *testing.T) {
	if got := namespaceOf("production", "shop"); got != "production-shop-rehearsal" {
		t.Errorf("got %q", got)
	}
	long := strings.Repeat("a", 60)
	one, other := namespaceOf(long, "shop"), namespaceOf(long, "shop2")
	if len(one) > 63 || one == other {
		t.Errorf("got %q and %q", one, other)
	}
}

// Pods talk to each other and to DNS; the Job that restores talks to the bucket besides.
func TestPoliciesOfANamespace(t *testing.T) {
	for _, p := range policies("aside", 9000) {
		everybody := len(p.Spec.PodSelector.MatchLabels) == 0
		denies := map[networking.PolicyType]bool{}
		for _, kind := range p.Spec.PolicyTypes {
			denies[kind] = true
		}
		if everybody && !(denies[networking.PolicyTypeIngress] && denies[networking.PolicyTypeEgress]) {
			t.Errorf("%s leaves a direction open", p.Name)
		}
		for _, rule := range p.Spec.Ingress {
			if len(rule.From) == 0 {
				t.Errorf("%s lets everybody in", p.Name)
			}
		}
		for _, rule := range p.Spec.Egress {
			for _, port := range rule.Ports {
				number := port.Port.IntValue()
				if everybody && number != 53 || !everybody && (number != 9000 || p.Spec.PodSelector.MatchLabels[platform.CopyLabel] != platform.CopyRestores) {
					t.Errorf("%s opens port %d to %v", p.Name, number, p.Spec.PodSelector)
				}
			}
			if len(rule.Ports) == 0 && len(rule.To) == 0 {
				t.Errorf("%s lets everything out", p.Name)
			}
			for _, to := range rule.To {
				if to.NamespaceSelector != nil || to.IPBlock != nil {
					t.Errorf("%s lets pods out of the namespace", p.Name)
				}
			}
		}
	}
}

func TestSweeping(t *testing.T) {
	ours := map[string]string{own.ManagedBy: own.Manager, ofLabel: "production"}
	for _, test := range []struct {
		name    string
		labels  map[string]string
		expires time.Duration
		held    bool
		left    bool
		err     string
	}{
		{"what was killed", ours, time.Hour, false, false, ""},
		{"what goes on", ours, time.Hour, true, true, ""},
		{"what has gone on for too long", ours, -time.Hour, true, false, ""},
		{"somebody else's", map[string]string{"team": "a"}, time.Hour, false, true, "no rehearsal has made it"},
		{"another environment's", map[string]string{own.ManagedBy: own.Manager, ofLabel: "staging"}, time.Hour, false, true, "no rehearsal has made it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := namespaceOf("production", "shop")
			client := fake.NewClientset(&core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: test.labels, Annotations: map[string]string{
				own.ExpiresAnnotation: time.Now().Add(test.expires).UTC().Format(time.RFC3339),
			}}})
			if test.held {
				now, seconds, who := metav1.NowMicro(), int32(30), "mira@laptop/1 a"
				lease := &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: "shop-rehearsal"}, Spec: coordination.LeaseSpec{HolderIdentity: &who, RenewTime: &now, LeaseDurationSeconds: &seconds}}
				if _, err := client.CoordinationV1().Leases("production").Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			h := &Rehearsal{kube: client, environment: "production", namespace: name, config: &config.Config{Name: "shop"}}
			err := h.Sweep(t.Context(), progress.Discard)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
			_, err = client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
			if left := !apierrors.IsNotFound(err); left != test.left {
				t.Errorf("it is left: %v, want %v", left, test.left)
			}
		})
	}
	h := &Rehearsal{kube: fake.NewClientset(), environment: "production", namespace: "aside", config: &config.Config{Name: "shop"}}
	if err := h.Sweep(t.Context(), progress.Discard); err != nil {
		t.Error(err)
	}
}
