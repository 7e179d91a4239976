package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider/local/supervisor"
)

// startControlPlane starts the processes of the control plane, and returns when the
// API server is ready. That comes first, with its etcd: whatever else needs it would
// end and begin again until then, and keep it from getting ready on a small machine.
// What runs already goes on, nodes too.
func (p *Provider) startControlPlane(ctx context.Context, plane controlPlane, step progress.Step) (*kubernetes.Clientset, error) {
	parts, err := plane.parts()
	if err != nil {
		return nil, err
	}
	before, err := supervisor.Parts(p.layout.supervisor())
	if err != nil {
		return nil, fmt.Errorf("read supervisor spec: %w", err)
	}
	// After a power cut they are named but gone.
	running := func(part supervisor.Part) bool { return supervisor.Running(p.layout.supervisor(), part.Name) }
	for _, part := range before {
		if (strings.HasPrefix(part.Name, containerdPrefix) || strings.HasPrefix(part.Name, kubeletPrefix)) && running(part) {
			parts = append(parts, part)
		}
	}
	var first []supervisor.Part
	for _, part := range parts {
		if part.Name == etcdPart || part.Name == apiServerPart || running(part) {
			first = append(first, part)
		}
	}
	if err := p.applyParts(first); err != nil {
		return nil, err
	}
	client, err := p.waitForAPI(ctx, step)
	if err != nil {
		return nil, err
	}
	return client, p.applyParts(parts)
}

// supervise hands the processes of the control plane and of all nodes to the
// supervisor.
func (p *Provider) supervise(plane controlPlane, s state, kubernetes *authority) error {
	parts, err := plane.parts()
	if err != nil {
		return err
	}
	reserved, err := reserve(s.Size)
	if err != nil {
		return err
	}
	for _, number := range s.Nodes {
		n := p.node(number)
		if err := n.configure(s.Images["pause"], kubernetes, plane.server(), reserved); err != nil {
			return err
		}
		nodeParts, err := n.parts(plane.kubernetes)
		if err != nil {
			return err
		}
		parts = append(parts, nodeParts...)
	}
	return p.applyParts(parts)
}

// joinNodes waits until all nodes of s are ready.
func (p *Provider) joinNodes(ctx context.Context, client kubernetes.Interface, s state, r progress.Reporter) error {
	title := "Bring up 1 node"
	if len(s.Nodes) > 1 {
		title = fmt.Sprintf("Bring up %d nodes", len(s.Nodes))
	}
	return progress.Run(r, title, func(step progress.Step) error {
		reserved, err := reserve(s.Size)
		if err != nil {
			return err
		}
		var joining errgroup.Group
		for _, number := range s.Nodes {
			joining.Go(func() error { return p.join(ctx, client, p.node(number), reserved, step) })
		}
		return joining.Wait()
	})
}

func (p *Provider) join(ctx context.Context, client kubernetes.Interface, n node, reserved reservation, step progress.Step) error {
	step.Detail("waiting for containerd of " + n.name())
	err := poll(ctx, p.patience(time.Minute, n.containerdPart()), func(ctx context.Context) error {
		runtime, err := n.containers(ctx)
		if err != nil {
			return err
		}
		return runtime.connection.Close()
	})
	if err != nil {
		return fault.WithHint(err, "see its log: %s", p.layout.supervisor().Log(n.containerdPart()))
	}
	step.Detail("waiting for " + n.name())
	err = poll(ctx, p.patience(2*time.Minute, n.containerdPart(), n.kubeletPart()), func(ctx context.Context) error {
		found, err := client.CoreV1().Nodes().Get(ctx, n.name(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !ready(found) {
			return fmt.Errorf("node %s is not ready", n.name())
		}
		if !reserved.of(found) {
			return fmt.Errorf("node %s does not offer its new size", n.name())
		}
		if found.Spec.Unschedulable { // a drain that was interrupted
			return uncordon(ctx, client, n)
		}
		return nil
	})
	if err != nil {
		return fault.WithHint(fmt.Errorf("bring up %s: %w", n.name(), err), "see its log: %s", p.layout.supervisor().Log(n.kubeletPart()))
	}
	return nil
}

func uncordon(ctx context.Context, client kubernetes.Interface, n node) error {
	_, err := client.CoreV1().Nodes().Patch(ctx, n.name(), types.MergePatchType, []byte(`{"spec":{"unschedulable":false}}`), metav1.PatchOptions{})
	return err
}

// ready reports whether the kubelet has said so of late: the condition turns
// stale, not false, when a kubelet dies.
func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && time.Since(c.LastHeartbeatTime.Time) < 6*time.Minute
	})
}
