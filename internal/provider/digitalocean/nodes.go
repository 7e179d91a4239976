package digitalocean

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/drain"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
)

const (
	// nodesTime bounds how long nodes may take to be ready.
	nodesTime = 30 * time.Minute
	// drainTime bounds how long pods may take to leave a node: as often as
	// their budgets say, longer than their grace and their volumes' way.
	drainTime = 15 * time.Minute
	// settleTime bounds how long pods may take to be ready elsewhere.
	settleTime = 10 * time.Minute
)

// awaitNodes waits until all nodes of all pools are there and ready.
func (p *Provider) awaitNodes(ctx context.Context, r progress.Reporter) (cluster *provider.Cluster, err error) {
	err = progress.Run(r, "Wait for the nodes", func(step progress.Step) error {
		if cluster, err = p.Cluster(ctx); err != nil {
			return err
		}
		client, err := kube.Connect(cluster.REST)
		if err != nil {
			return err
		}
		found, err := p.findCluster(ctx)
		if err != nil {
			return err
		}
		for _, pool := range found.NodePools {
			if err := p.awaitPool(ctx, client, found.ID, pool.ID, step); err != nil {
				return err
			}
		}
		return nil
	})
	return cluster, err
}

// awaitPool waits until a pool has all its nodes, and Kubernetes calls each of
// them ready.
func (p *Provider) awaitPool(ctx context.Context, client kubernetes.Interface, clusterID, poolID string, step progress.Step) error {
	return p.poll(ctx, nodesTime, func(ctx context.Context) (bool, error) {
		pool, _, err := p.api.Kubernetes.GetNodePool(ctx, clusterID, poolID)
		if err != nil {
			return false, wrap("look at the node pool", explain(err))
		}
		ready, err := readyNodes(ctx, client)
		if err != nil {
			step.Detail("the API server does not answer yet: " + err.Error())
			return false, nil
		}
		count := 0
		for _, node := range pool.Nodes {
			if slices.Contains(ready, node.Name) {
				count++
			}
		}
		step.Detail(fmt.Sprintf("%d of %d in pool %s are ready", count, pool.Count, pool.Name))
		return count >= pool.Count && len(pool.Nodes) == pool.Count, nil
	})
}

// readyNodes are the names of the nodes that are ready.
func readyNodes(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, node := range nodes.Items {
		if slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			names = append(names, node.Name)
		}
	}
	return names, nil
}

// shrink removes the newest nodes until as many are left as are wanted, each
// drained first. Terraform would leave the choice, and the drain, to
// DigitalOcean.
func (p *Provider) shrink(ctx context.Context, in *intent, r progress.Reporter) error {
	count, cluster, pool := in.variables.NodeCount, in.found.cluster, in.found.pool()
	if pool == nil || pool.AutoScale || pool.Count <= count {
		return nil
	}
	client, err := p.client(ctx)
	if err != nil {
		return err
	}
	staying := slices.DeleteFunc(slices.Clone(pool.Nodes), func(n *godo.KubernetesNode) bool { return n.Status != nil && n.Status.State == "deleting" })
	nodes := slices.SortedStableFunc(slices.Values(staying), func(a, b *godo.KubernetesNode) int { return a.CreatedAt.Compare(b.CreatedAt) })
	leaving := nodes[min(count, len(nodes)):]
	if err := p.evacuate(ctx, client, leaving, r); err != nil {
		return fault.WithHint(err, "the nodes stay in service; run the same command again to continue")
	}
	for _, node := range leaving {
		err := progress.Run(r, "Remove "+node.Name, func(step progress.Step) error {
			_, err := p.api.Kubernetes.DeleteNode(ctx, cluster.ID, pool.ID, node.ID, &godo.KubernetesNodeDeleteRequest{SkipDrain: true})
			if err != nil && !isNotFound(err) {
				return wrap("remove node "+node.Name, explain(err))
			}
			return p.poll(ctx, removeTime, func(ctx context.Context) (bool, error) {
				now, _, err := p.api.Kubernetes.GetNodePool(ctx, cluster.ID, pool.ID)
				if err != nil {
					return false, wrap("look at node pool "+pool.Name, explain(err))
				}
				return !slices.ContainsFunc(now.Nodes, func(n *godo.KubernetesNode) bool { return n.ID == node.ID }), nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// evacuate moves all pods from nodes to the others. All nodes are closed first,
// so that no pod moves twice; then they are drained one by one, as far as
// disruption budgets let it, and what moved must be ready before the next one.
func (p *Provider) evacuate(ctx context.Context, client kubernetes.Interface, nodes []*godo.KubernetesNode, r progress.Reporter) error {
	var present []*corev1.Node
	for _, node := range nodes {
		found, err := client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get node %s: %w", node.Name, err)
		}
		helper := &drain.Helper{Ctx: ctx, Client: client}
		if err := drain.RunCordonOrUncordon(helper, found, true); err != nil {
			return fmt.Errorf("close node %s to new pods: %w", node.Name, err)
		}
		present = append(present, found)
	}
	before, err := unsettled(ctx, client)
	if err != nil {
		return err
	}
	for _, node := range present {
		err := progress.Run(r, "Drain "+node.Name, func(step progress.Step) error {
			helper := &drain.Helper{
				Ctx: ctx, Client: client, Force: true, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
				GracePeriodSeconds: -1, Timeout: drainTime, Out: io.Discard, ErrOut: io.Discard,
				OnPodDeletionOrEvictionStarted: func(pod *corev1.Pod, _ bool) { step.Detail("moving " + pod.Name) },
			}
			if err := drain.RunNodeDrain(helper, node.Name); err != nil {
				return fmt.Errorf("drain %s: %w", node.Name, err)
			}
			return p.settle(ctx, client, before, step)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reopen lets pods onto nodes that an interrupted scale has closed.
func reopen(ctx context.Context, client kubernetes.Interface, nodes []*godo.KubernetesNode) error {
	for _, node := range nodes {
		found, err := client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get node %s: %w", node.Name, err)
		}
		if err := drain.RunCordonOrUncordon(&drain.Helper{Ctx: ctx, Client: client}, found, false); err != nil {
			return fmt.Errorf("open node %s to pods: %w", node.Name, err)
		}
	}
	return nil
}

// settle waits until all workloads have the pods that they want, but for those
// that lacked some before.
func (p *Provider) settle(ctx context.Context, client kubernetes.Interface, before []string, step progress.Step) error {
	var missing []string
	err := p.poll(ctx, settleTime, func(ctx context.Context) (bool, error) {
		now, err := unsettled(ctx, client)
		if err != nil {
			return false, err
		}
		missing = slices.DeleteFunc(now, func(name string) bool { return slices.Contains(before, name) })
		if len(missing) > 0 {
			step.Detail("waiting for " + strings.Join(missing, ", "))
		}
		return len(missing) == 0, nil
	})
	if err != nil && len(missing) > 0 {
		return fmt.Errorf("wait until %s is ready on another node: %w", strings.Join(missing, ", "), err)
	}
	return err
}

// unsettled names the Deployments and StatefulSets that lack pods.
func unsettled(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	deployments, err := client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	sets, err := client.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list stateful sets: %w", err)
	}
	var names []string
	for _, one := range deployments.Items {
		if short(one.Spec.Replicas, one.Status.ReadyReplicas) {
			names = append(names, name(&one))
		}
	}
	for _, one := range sets.Items {
		if short(one.Spec.Replicas, one.Status.ReadyReplicas) {
			names = append(names, name(&one))
		}
	}
	return names, nil
}

func name[T interface {
	*appsv1.Deployment | *appsv1.StatefulSet
	metav1.Object
}](workload T) string {
	return workload.GetNamespace() + "/" + workload.GetName()
}

func short(wanted *int32, ready int32) bool { return wanted != nil && ready < *wanted }
