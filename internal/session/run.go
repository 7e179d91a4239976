package session

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
	"berth/internal/progress"
)

// Command is a command and where to run it.
type Command struct {
	// Process is whose pods are meant; "" is the web process.
	Process string
	// Pod is one that runs, for Exec alone; "" is the newest ready one.
	Pod string
	// Args are the program and its arguments; none means a shell.
	Args []string
	// Limit is how long a pod of its own may last.
	Limit time.Duration
}

// shell is what a session without a command is: the best shell of the image.
var shell = []string{"/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"}

// Run runs a command in a new pod, with the deployed revision's image, environment,
// secrets, volumes, user and limits. The pod gets no requests, and the command's
// output is not in its log. The pod is removed afterwards.
func (c *Client) Run(ctx context.Context, command Command, s Streams, r progress.Reporter) error {
	p, err := c.process(ctx, command.Process)
	if err != nil {
		return err
	}
	spec, err := c.ownSpec(ctx, p.template.Spec)
	if err != nil {
		return err
	}
	made := plan{name: c.app + "-run", owner: p.owner, spec: *spec, limit: command.Limit}
	return c.oneOff(ctx, made, r, func(ctx context.Context, pod *core.Pod) error {
		return c.command(ctx, pod, command.Args, s, "berth run")
	})
}

// Exec executes a command in a pod that runs.
func (c *Client) Exec(ctx context.Context, command Command, s Streams) error {
	pod, err := c.pod(ctx, command.Process, command.Pod)
	if err != nil {
		return err
	}
	return c.command(ctx, pod, command.Args, s, "berth exec")
}

func (c *Client) command(ctx context.Context, pod *core.Pod, args []string, s Streams, name string) error {
	if len(args) > 0 {
		return c.execute(ctx, pod.Name, pod.Spec.Containers[0].Name, args, s)
	}
	err := c.execute(ctx, pod.Name, pod.Spec.Containers[0].Name, shell, s)
	if exit, ok := err.(*Exit); ok && exit.Why != nil {
		exit.Why = fault.WithHint(fmt.Errorf("the image %s has no shell", pod.Spec.Containers[0].Image),
			"name one of its programs: %s %s -- PROGRAM", name, c.environment)
	}
	return err
}

// ownSpec makes of a process's pods one that stands alone: it serves nothing,
// so nothing probes it and it need not be spread, but it comes to where its
// volumes are.
func (c *Client) ownSpec(ctx context.Context, of core.PodSpec) (*core.PodSpec, error) {
	spec := of.DeepCopy()
	spec.Containers = spec.Containers[:1]
	container := &spec.Containers[0]
	container.Ports, container.Lifecycle = nil, nil
	container.StartupProbe, container.ReadinessProbe, container.LivenessProbe = nil, nil, nil
	spec.ReadinessGates, spec.TopologySpreadConstraints = nil, nil
	spec.Hostname, spec.Subdomain = "", ""
	if spec.Affinity != nil {
		// What is said of other pods is said of those that serve.
		spec.Affinity = &core.Affinity{NodeAffinity: spec.Affinity.NodeAffinity}
	}
	node, err := c.volumesNode(ctx, spec)
	if err != nil {
		return nil, err
	}
	if node != "" {
		pin(spec, node)
	}
	return spec, nil
}

// volumesNode is the node that a pod must come to as a volume of it is in use
// there and can be on one node alone; "" where any will do.
func (c *Client) volumesNode(ctx context.Context, spec *core.PodSpec) (string, error) {
	bound := map[string]bool{}
	for _, volume := range spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		name := volume.PersistentVolumeClaim.ClaimName
		claim, err := c.kube.CoreV1().PersistentVolumeClaims(c.environment).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("look at the volume %s: %w", name, err)
		}
		shared := false
		for _, mode := range claim.Spec.AccessModes {
			shared = shared || mode == core.ReadWriteMany || mode == core.ReadOnlyMany
		}
		bound[name] = !shared
	}
	if len(bound) == 0 {
		return "", nil
	}
	pods, err := c.kube.CoreV1().Pods(c.environment).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("look for the node of the volumes: %w", err)
	}
	for _, pod := range pods.Items {
		if pod.Spec.NodeName == "" || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
			continue
		}
		for _, volume := range pod.Spec.Volumes {
			if volume.PersistentVolumeClaim != nil && bound[volume.PersistentVolumeClaim.ClaimName] {
				return pod.Spec.NodeName, nil
			}
		}
	}
	return "", nil
}

// pin has a pod scheduled to one node, whatever its labels are.
func pin(spec *core.PodSpec, node string) {
	here := core.NodeSelectorTerm{MatchFields: []core.NodeSelectorRequirement{
		{Key: metav1.ObjectNameField, Operator: core.NodeSelectorOpIn, Values: []string{node}},
	}}
	spec.Affinity = &core.Affinity{NodeAffinity: &core.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{here}},
	}}
}
