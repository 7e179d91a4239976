//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What the charts' policies allow passes, and nothing else does, as on a
// cluster in a cloud.
func testPolicies(t *testing.T) {
	c := running(t)
	one := func(namespace, selector string) core.Pod {
		pods := c.pods(t, namespace, selector)
		if len(pods) == 0 {
			t.Fatalf("%s has no pod %s", namespace, selector)
		}
		return pods[0]
	}
	web, db, staging := one("production", app), one("production", database), one("staging", app)
	agent := one("logging", "app.kubernetes.io/name=collector")
	for _, test := range []struct {
		what    string
		from    core.Pod
		to      string
		reaches bool
	}{
		{"the application and its database", web, db.Status.PodIP + ":5432", true},
		{"the application and DNS", web, "10.118.0.2:53", true},
		{"the application and the bucket", web, "10.118.0.1:9000", false},
		{"the application and the API server", web, "10.118.0.1:6443", false},
		{"staging and production's database", staging, db.Status.PodIP + ":5432", false},
		{"staging and production", staging, web.Status.PodIP + ":8000", false},
		{"the database and the application", db, web.Status.PodIP + ":8000", false},
		{"the database and DNS", db, "10.118.0.2:53", false},
		{"the log agent and the bucket", agent, "10.118.0.1:9000", true},
		{"the log agent and the API server", agent, "10.118.0.1:6443", true},
		{"the log agent and the database", agent, db.Status.PodIP + ":5432", false},
	} {
		err := reach(t, test.from, test.to)
		if (err == nil) != test.reaches {
			t.Errorf("%s: %v, want that it reaches %s: %v", test.what, err, test.to, test.reaches)
		}
	}
}

// reach connects from a pod's network to an address.
func reach(t *testing.T, from core.Pod, address string) error {
	t.Helper()
	processes := podProcesses(t, from)
	if len(processes) == 0 {
		t.Fatalf("pod %s has no process", from.Name)
	}
	host, port, _ := strings.Cut(address, ":")
	output, err := exec.Command("nsenter", "--target", fmt.Sprint(processes[0]), "--net",
		"timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// isolates returns nil once a policy that is made becomes rules.
func (c *cluster) isolates(time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	policies, tcp, port := c.NetworkingV1().NetworkPolicies("production"), core.ProtocolTCP, intstr.FromInt32(61234)
	_, err := policies.Create(ctx, &networking.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e"},
		Spec: networking.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "realworld"}},
			PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress},
			Ingress:     []networking.NetworkPolicyIngressRule{{Ports: []networking.NetworkPolicyPort{{Protocol: &tcp, Port: &port}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	rules, err := exec.Command("nft", "list", "table", "ip", "berth-policies").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, rules)
	}
	if !strings.Contains(string(rules), "tcp dport 61234") {
		return errors.New("a new policy is not in the rules")
	}
	return policies.Delete(ctx, "e2e", metav1.DeleteOptions{})
}
