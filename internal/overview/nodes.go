package overview

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube"
)

// Node is one node at a glance.
type Node struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	// State says why a node is not ready, or that it takes no new pods.
	State   string `json:"state"`
	Version string `json:"version"`
	// CPUs and Memory are what it offers to pods.
	CPUs   string    `json:"cpus"`
	Memory string    `json:"memory"`
	Since  time.Time `json:"since"`
	// Usage is what it uses; nil where nothing has measured it.
	Usage *kube.Usage `json:"usage,omitempty"`
}

// patience bounds how long a cluster has to answer.
const patience = 15 * time.Second

// Nodes are the nodes of the cluster, with what they use.
func (l *Looker) Nodes(ctx context.Context) ([]Node, error) {
	var uses used
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		uses = l.usage(ctx, "")
	}()
	found, err := l.nodes(ctx)
	<-measured
	uses.nodes(found)
	return found, err
}

func (l *Looker) nodes(ctx context.Context) ([]Node, error) {
	client, err := kube.Connect(l.Cluster.REST)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the nodes of cluster %s: %w", l.Cluster.Name, err)
	}
	found := make([]Node, 0, len(list.Items))
	for _, item := range list.Items {
		found = append(found, nodeOf(item))
	}
	return found, nil
}

func nodeOf(item core.Node) Node {
	n := Node{
		Name: item.Name, State: "unknown", Version: item.Status.NodeInfo.KubeletVersion,
		CPUs:   item.Status.Allocatable.Cpu().String(),
		Memory: fmt.Sprintf("%.1f GiB", float64(item.Status.Allocatable.Memory().Value())/(1<<30)),
		Since:  item.CreationTimestamp.Time,
	}
	for _, condition := range item.Status.Conditions {
		if condition.Type != core.NodeReady {
			continue
		}
		n.Ready = condition.Status == core.ConditionTrue
		n.State = "ready"
		if !n.Ready {
			n.State = "not ready: " + condition.Reason
		}
	}
	if item.Spec.Unschedulable {
		n.State += ", takes no new pods"
	}
	return n
}
