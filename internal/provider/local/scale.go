package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/drain"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/local/supervisor"
)

// drainTimeout bounds how long pods may take to leave a node: longer than any
// pod's grace and its successor's start.
const drainTimeout = 5 * time.Minute

// Scale implements provider.Provider.
func (p *Provider) Scale(ctx context.Context, wanted provider.Scale, r progress.Reporter) error {
	if wanted.Nodes < 0 || wanted.Nodes > maxNodes {
		return fault.Usage("a local cluster has 1 to %d nodes, not %d", maxNodes, wanted.Nodes)
	}
	if _, err := reserve(wanted.Size); err != nil {
		return err
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	cluster, err := p.Cluster(ctx)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cluster.REST)
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	s, err := p.loadState()
	if err != nil {
		return fmt.Errorf("read the cluster's state: %w", err)
	}
	if wanted.Size != "" && wanted.Size != s.Size {
		if err := p.fits(ctx, client, wanted.Size); err != nil {
			return err
		}
		s.Size = wanted.Size
	}
	for number := 1; len(s.Nodes) < wanted.Nodes; number++ {
		if !s.has(number) {
			s.Nodes = append(s.Nodes, number)
		}
	}
	slices.Sort(s.Nodes)
	if err := p.saveState(s); err != nil {
		return err
	}
	if err := p.apply(ctx, s); err != nil {
		return err
	}
	if wanted.Nodes > 0 && len(s.Nodes) > wanted.Nodes {
		if err := p.removeNodes(ctx, client, s, wanted.Nodes, r); err != nil {
			return err
		}
		if s, err = p.loadState(); err != nil {
			return fmt.Errorf("read the cluster's state: %w", err)
		}
	}
	return p.joinNodes(ctx, client, s, r)
}

// apply makes a running cluster's processes and addresses what s says.
func (p *Provider) apply(ctx context.Context, s state) error {
	running, err := supervisor.Parts(p.layout.supervisor())
	if err != nil {
		return fmt.Errorf("read supervisor spec: %w", err)
	}
	apiserver := slices.IndexFunc(running, func(part supervisor.Part) bool { return part.Name == apiServerPart })
	if apiserver < 0 {
		return fault.WithHint(provider.ErrNotUp, "bring it up with: berth up")
	}
	if !slices.ContainsFunc(running, func(part supervisor.Part) bool { return part.Name == registryPart }) {
		return fault.WithHint(errors.New("an earlier version of berth made the cluster"), "bring it up to date: berth up")
	}
	plane := controlPlane{p.layout, p.network, running[apiserver].Args[0]}
	authority, err := loadAuthority(p.layout, "kubernetes", nil)
	if err != nil {
		return err
	}
	if err := p.network.up(ctx, s.Nodes); err != nil {
		return err
	}
	return p.supervise(plane, s, authority)
}

// fits refuses a size that the pods on a node would not fit into: the kubelet
// would turn them away when it starts again.
func (p *Provider) fits(ctx context.Context, client kubernetes.Interface, size string) error {
	reserved, err := reserve(size)
	if err != nil {
		return err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, n := range nodes.Items {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{
			FieldSelector: "spec.nodeName=" + n.Name + ",status.phase!=Succeeded,status.phase!=Failed",
		})
		if err != nil {
			return fmt.Errorf("list pods of %s: %w", n.Name, err)
		}
		free := corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(n.Status.Capacity.Cpu().MilliValue()-reserved.milliCPU, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(n.Status.Capacity.Memory().Value()-reserved.bytes, resource.BinarySI),
		}
		for name, left := range free {
			for _, pod := range pods.Items {
				for _, container := range pod.Spec.Containers {
					left.Sub(container.Resources.Requests[name])
				}
			}
			if left.Sign() < 0 {
				shortage := left.DeepCopy()
				shortage.Neg()
				return fault.WithHint(fault.Usage("the pods on %s request %s more %s than size %s offers", n.Name, shortage.String(), name, size),
					"add nodes first, or take a larger size")
			}
		}
	}
	return nil
}

// removeNodes drains and removes nodes, the newest first, until count are left.
func (p *Provider) removeNodes(ctx context.Context, client kubernetes.Interface, s state, count int, r progress.Reporter) error {
	for len(s.Nodes) > count {
		n := p.node(s.Nodes[len(s.Nodes)-1])
		if err := progress.Run(r, "Drain "+n.name(), func(step progress.Step) error { return p.drain(ctx, client, n, step) }); err != nil {
			if undo := uncordon(context.WithoutCancel(ctx), client, n); undo != nil {
				err = errors.Join(err, fmt.Errorf("let pods back onto %s: %w", n.name(), undo))
			}
			return fault.WithHint(err, "the node stays in service; see its pods with: berth status")
		}
		err := progress.Run(r, "Remove "+n.name(), func(progress.Step) error {
			s.Nodes = s.Nodes[:len(s.Nodes)-1]
			if err := p.remove(ctx, client, n, s); err != nil {
				return err
			}
			return p.saveState(s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drain moves a node's pods to the others, as far as their disruption budgets
// let it.
func (p *Provider) drain(ctx context.Context, client kubernetes.Interface, n node, step progress.Step) error {
	found, err := client.CoreV1().Nodes().Get(ctx, n.name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", n.name(), err)
	}
	helper := &drain.Helper{
		Ctx: ctx, Client: client, Force: true, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
		GracePeriodSeconds: -1, Timeout: drainTimeout, Out: io.Discard, ErrOut: io.Discard,
		OnPodDeletionOrEvictionStarted: func(pod *corev1.Pod, _ bool) { step.Detail("moving " + pod.Name) },
	}
	if err := drain.RunCordonOrUncordon(helper, found, true); err != nil {
		return fmt.Errorf("cordon %s: %w", n.name(), err)
	}
	if err := drain.RunNodeDrain(helper, n.name()); err != nil {
		return fmt.Errorf("drain %s: %w", n.name(), err)
	}
	return nil
}

// remove ends a drained node and leaves nothing of it. s is the cluster
// without it.
func (p *Provider) remove(ctx context.Context, client kubernetes.Interface, n node, s state) error {
	if err := p.endPart(ctx, n.kubeletPart()); err != nil {
		return err
	}
	if supervisor.Running(p.layout.supervisor(), n.containerdPart()) {
		runtime, err := n.containers(ctx)
		if err != nil {
			return err
		}
		if err := runtime.removeAll(ctx); err != nil {
			return fmt.Errorf("empty %s: %w", n.name(), err)
		}
	}
	if err := p.apply(ctx, s); err != nil {
		return err
	}
	if err := p.awaitEnd(ctx, n.containerdPart()); err != nil {
		return err
	}
	if err := n.clean(); err != nil {
		return err
	}
	if err := os.RemoveAll(n.dir()); err != nil {
		return fmt.Errorf("remove files of %s: %w", n.name(), err)
	}
	if err := client.CoreV1().Nodes().Delete(ctx, n.name(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove %s from the cluster: %w", n.name(), err)
	}
	return nil
}
