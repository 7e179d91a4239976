package main

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube"
	"berth/internal/provider"
)

// node is one node at a glance.
type node struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	// State says why a node is not ready, or that it takes no new pods.
	State   string `json:"state"`
	Version string `json:"version"`
	// CPUs and Memory are what it offers to pods.
	CPUs   string    `json:"cpus"`
	Memory string    `json:"memory"`
	Since  time.Time `json:"since"`
}

// nodesTime bounds how long a cluster has to answer.
const nodesTime = 15 * time.Second

func nodes(ctx context.Context, cluster *provider.Cluster) ([]node, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, nodesTime)
	defer cancel()
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the nodes of cluster %s: %w", cluster.Name, err)
	}
	found := make([]node, 0, len(list.Items))
	for _, item := range list.Items {
		found = append(found, nodeOf(item))
	}
	return found, nil
}

func nodeOf(item core.Node) node {
	n := node{
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
