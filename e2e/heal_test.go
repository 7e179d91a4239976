//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// healTime is how long a part may take to be back and at work.
const healTime = time.Minute

// Whatever dies comes back by itself, and the site answers all the time.
func testHealing(t *testing.T) {
	c := running(t)
	works := map[string]func(since time.Time) error{
		"supervisor":              func(time.Time) error { return nil },
		"supervisor-standby":      func(time.Time) error { return nil },
		"etcd":                    c.answers,
		"kube-apiserver":          c.answers,
		"kube-controller-manager": healthy("https://127.0.0.1:20257/healthz"),
		"kube-scheduler":          healthy("https://127.0.0.1:20259/healthz"),
		"kube-proxy":              healthy("http://127.0.0.1:20256/healthz"),
		"coredns":                 resolves,
		"provisioner":             func(time.Time) error { return nil },
		"s3-gateway":              listens("10.118.0.1:9000"),
		"registry":                listens(registryAddress),
		"metrics-server":          c.measures,
		"network-policies":        c.isolates,
		"containerd-node-1":       c.nodeReports,
		"kubelet-node-1":          c.nodeReports,
	}
	for _, name := range parts(t) {
		if works[name] == nil {
			t.Errorf("nobody looks whether %s works", name)
		}
	}
	for _, name := range []string{
		"supervisor", "supervisor-standby", "kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler",
		"containerd-node-1", "kubelet-node-1", "coredns", "kube-proxy", "provisioner", "s3-gateway", "registry", "metrics-server",
		"network-policies",
	} {
		healed := t.Run(name, func(t *testing.T) {
			underLoad(t, "killing "+name, func() {
				was, err := partPID(name)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				kill(t, was)
				took := waitFor(t, name+" to work again", healTime, func() error {
					now, err := partPID(name)
					if err != nil {
						return err
					}
					if now == was {
						return fmt.Errorf("%s was not started again", name)
					}
					return works[name](began)
				})
				t.Logf("%s works again after %s", name, took)
			})
		})
		if !healed {
			t.FailNow() // nobody need look at what else fails then
		}
	}
	t.Run("both supervisors", func(t *testing.T) {
		before := map[string]int{}
		for _, name := range parts(t) {
			pid, err := partPID(name)
			if err != nil {
				t.Fatal(err)
			}
			before[name] = pid
		}
		underLoad(t, "killing both supervisors, then up", func() {
			// The standby first: the other way round it takes over.
			kill(t, before["supervisor-standby"])
			kill(t, before["supervisor"])
			mustBerth(t, "up")
		})
		for name, was := range before {
			now, err := partPID(name)
			if err != nil {
				t.Error(err)
			} else if own := name == "supervisor" || name == "supervisor-standby"; own == (now == was) {
				t.Errorf("%s was process %d and is %d", name, was, now)
			}
		}
	})
	// All of it together: a pod that goes is replaced and gets requests.
	t.Run("afterwards", func(t *testing.T) {
		pod := c.pods(t, "production", app)[0]
		if err := c.CoreV1().Pods("production").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "another pod", 2*time.Minute, func() error { return c.whole(t, pod.Name) })
		waitFor(t, "the status to be good", time.Minute, func() error {
			if o := berth(t, "status"); o.status != 0 {
				return errors.New(o.said)
			}
			return nil
		})
	})
}

func (c *cluster) answers(time.Time) error {
	return c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
}

// nodeReports returns nil when the node has said since a time that it is ready.
func (c *cluster) nodeReports(since time.Time) error {
	node, err := c.CoreV1().Nodes().Get(context.Background(), "node-1", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue && condition.LastHeartbeatTime.After(since.Add(time.Second)) {
			return nil
		}
	}
	return fmt.Errorf("node-1 has not said that it is ready")
}

// careless does not verify certificates: whether something answers is all that
// is asked.
func careless() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
}

func healthy(url string) func(time.Time) error {
	return func(time.Time) error {
		response, err := careless().Get(url)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}

func listens(address string) func(time.Time) error {
	return func(time.Time) error {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

func resolves(time.Time) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "10.118.0.2:53")
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := resolver.LookupHost(ctx, "realworld-postgresql.production.svc.cluster.local.")
	return err
}
