//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	state      = home + "/state/berth/local"
	kubeconfig = state + "/kubeconfig/berth-admin.yaml"
)

// cluster is the cluster as its administrator sees it.
type cluster struct {
	*kubernetes.Clientset
	rest *rest.Config
}

// running returns the cluster, which is brought up if it is not: a step may be
// run alone, and comes after others that may have failed.
func running(t *testing.T) *cluster {
	t.Helper()
	if c, err := connect(); err == nil {
		_, err := c.ServerVersion()
		if _, unsupervised := partPID("supervisor"); err == nil && unsupervised == nil {
			return c
		}
	}
	waitUnlocked(t, "up")
	c, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func connect() (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	return &cluster{client, config}, err
}

// app selects the application's own pods, not its database's.
const app = "app.kubernetes.io/component=web,app.kubernetes.io/instance=realworld"

// pods returns the pods of a selector that are not on their way out.
func (c *cluster) pods(t *testing.T, namespace, selector string) []core.Pod {
	t.Helper()
	list, err := c.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	var pods []core.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

func ready(pod *core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// waitFor tries until condition returns nil.
func waitFor(t *testing.T, what string, limit time.Duration, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := condition()
		took := time.Since(began)
		if err == nil {
			return took.Round(10 * time.Millisecond)
		}
		if took > limit {
			t.Fatalf("waited %s for %s: %v", limit, what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// explain logs what a person would look at first.
func explain(t *testing.T) {
	c, err := connect()
	if err != nil {
		t.Logf("no cluster: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b strings.Builder
	nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Logf("the API server does not answer: %v", err)
		explainParts(t)
		return
	}
	for _, node := range nodes.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == core.NodeReady {
				fmt.Fprintf(&b, "node %s: ready %s, unschedulable %v\n", node.Name, condition.Status, node.Spec.Unschedulable)
			}
		}
	}
	if pods, err := c.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err == nil {
		for _, pod := range pods.Items {
			fmt.Fprintf(&b, "pod %s/%s on %s: %s, ready %v", pod.Namespace, pod.Name, pod.Spec.NodeName, pod.Status.Phase, ready(&pod))
			for _, s := range pod.Status.ContainerStatuses {
				fmt.Fprintf(&b, ", %s restarted %d times", s.Name, s.RestartCount)
				if s.State.Waiting != nil {
					fmt.Fprintf(&b, ", %s %s", s.State.Waiting.Reason, s.State.Waiting.Message)
				}
			}
			b.WriteByte('\n')
		}
	}
	if events, err := c.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"}); err == nil {
		slices.SortFunc(events.Items, func(a, b core.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
		for _, event := range events.Items[max(0, len(events.Items)-10):] {
			fmt.Fprintf(&b, "event %s %s/%s: %s: %s\n", event.LastTimestamp.Format(time.TimeOnly),
				event.Namespace, event.InvolvedObject.Name, event.Reason, event.Message)
		}
	}
	b.WriteString(lastLines(state+"/supervisor/logs/supervisor.log", 10))
	t.Logf("the cluster:\n%s", b.String())
}

// explainParts logs the end of every part's log.
func explainParts(t *testing.T) {
	logs, err := filepath.Glob(state + "/supervisor/logs/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		t.Logf("the end of %s:\n%s", filepath.Base(name), lastLines(name, 5))
	}
}

func lastLines(file string, count int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	var b strings.Builder
	for _, line := range lines[max(0, len(lines)-count):] {
		b.WriteString(line[:min(len(line), 300)] + "\n")
	}
	return b.String()
}
