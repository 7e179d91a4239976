package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"

	"berth/internal/fault"
	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
)

const (
	// startLimit bounds how long a pod may take until its session begins. The
	// cluster ends one whose session never did.
	startLimit = 5 * time.Minute
	// alive is the time between two signs of life to the program that waits in
	// a pod. What lies between here and there may cut what is idle for longer.
	alive = 30 * time.Second
	// ending bounds the clearing up.
	ending = 10 * time.Second
)

// A plan is what a pod of its own is made of.
type plan struct {
	// name is that of the pods, before what tells them apart.
	name  string
	owner metav1.OwnerReference
	spec  core.PodSpec
	// limit is how long the session may last.
	limit time.Duration
}

// oneOff runs work in a pod of its own, which is gone afterwards, and returns
// what work does. The work's context ends with the pod.
//
// The pod is a Job's, so that the cluster removes both by itself when this
// process is killed: the first process of the pod sees the end of the
// connection and ends, and a Job that has ended is removed at once. A Job whose
// session has not begun, or lasts too long, ends at its deadline.
func (c *Client) oneOff(ctx context.Context, p plan, r progress.Reporter, work func(ctx context.Context, pod *core.Pod) error) error {
	var job *batch.Job
	var pod *core.Pod
	defer func() {
		if job != nil {
			c.remove(ctx, job.Name)
		}
	}()
	var held *hold
	err := progress.Run(r, "Start a pod in "+c.environment, func(step progress.Step) (err error) {
		if err := c.removeStrays(ctx); err != nil {
			return err
		}
		machine, err := c.machine(ctx, p.spec.Affinity)
		if err != nil {
			return err
		}
		if err := c.applyHold(ctx, p.owner); err != nil {
			return err
		}
		job = c.job(p, machine)
		if pod, err = c.start(ctx, job, step); err != nil {
			return err
		}
		held = c.hold(ctx, pod)
		// From now on the session's own limit counts.
		return c.setDeadline(ctx, job.Name, p.limit)
	})
	if held != nil {
		defer held.end()
	}
	if err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(held.ctx, cancel)
	defer stop()
	err = work(working, pod)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if why := c.whyEnded(ctx, pod.Name, job.Name, held); why != nil {
		if exit := new(Exit); errors.As(err, &exit) {
			return &Exit{Status: exit.Status, Why: why}
		}
		return why
	}
	return err
}

// job is the Job of a session's pod.
func (c *Client) job(p plan, machine string) *batch.Job {
	name := p.name + "-" + rand.String(5)
	labels := map[string]string{
		nameLabel: c.app, instanceLabel: c.app, componentLabel: component, own.ManagedBy: own.Manager,
	}
	none, one, start := int32(0), int32(1), int64(startLimit/time.Second)
	spec := *p.spec.DeepCopy()
	spec.RestartPolicy = core.RestartPolicyNever
	// Whatever is to end in order has done so when the pod is removed.
	grace := int64(1)
	spec.TerminationGracePeriodSeconds = &grace
	if machine != "" {
		selector := map[string]string{core.LabelArchStable: machine}
		for k, v := range spec.NodeSelector {
			selector[k] = v
		}
		spec.NodeSelector = selector
	}
	program := "program"
	if machine == "" {
		machine = "amd64"
	}
	mode := int32(0o555)
	spec.Volumes = append(spec.Volumes, core.Volume{Name: holdVolume, VolumeSource: core.VolumeSource{
		ConfigMap: &core.ConfigMapVolumeSource{
			LocalObjectReference: core.LocalObjectReference{Name: c.holdName()}, DefaultMode: &mode,
			Items: []core.KeyToPath{{Key: machine, Path: program}},
		},
	}})
	container := &spec.Containers[0]
	container.Command, container.Args = []string{holdFolder + "/" + program}, nil
	container.VolumeMounts = append(container.VolumeMounts, core.VolumeMount{Name: holdVolume, MountPath: holdFolder, ReadOnly: true})
	// Once: when the connection that feeds it ends, so does the input.
	container.Stdin, container.StdinOnce, container.TTY = true, true, false
	return &batch.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: c.environment, Labels: labels,
			Annotations: map[string]string{holderAnnotation: c.holder()},
			// Who removes the application ends its sessions.
			OwnerReferences: []metav1.OwnerReference{p.owner},
		},
		Spec: batch.JobSpec{
			BackoffLimit: &none, Parallelism: &one, Completions: &one,
			ActiveDeadlineSeconds: &start, TTLSecondsAfterFinished: &none,
			Template: core.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{
					// An autoscaler of nodes must not move what cannot be moved.
					"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
				}},
				Spec: spec,
			},
		},
	}
}

// component is the label of the pods of sessions. No Service and no
// PodDisruptionBudget selects it.
const component = "session"

const (
	holdVolume = "berth-session"
	holdFolder = "/.berth"
)

func (c *Client) holdName() string { return c.app + "-session" }

// applyHold puts the program that pods of sessions begin with where they find
// it. It goes when its owner does.
func (c *Client) applyHold(ctx context.Context, o metav1.OwnerReference) error {
	programs := map[string][]byte{}
	for machine := range machines {
		programs[machine] = holdProgram(machine, connecting)
	}
	object := coreapply.ConfigMap(c.holdName(), c.environment).WithBinaryData(programs).
		WithLabels(map[string]string{own.ManagedBy: own.Manager, instanceLabel: c.app}).
		WithOwnerReferences(metaapply.OwnerReference().WithAPIVersion(o.APIVersion).WithKind(o.Kind).WithName(o.Name).WithUID(o.UID))
	_, err := c.kube.CoreV1().ConfigMaps(c.environment).Apply(ctx, object, metav1.ApplyOptions{FieldManager: own.Manager, Force: true})
	if err != nil {
		return fmt.Errorf("write ConfigMap %s/%s: %w", c.environment, c.holdName(), err)
	}
	return nil
}

// machine is the architecture of the nodes that a pod may come to, "" where
// the nodes cannot be looked at. Where there are several it is that of the
// first node that is meant; the image is for it, as its pods run there.
func (c *Client) machine(ctx context.Context, affinity *core.Affinity) (string, error) {
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the nodes: %w", err)
	}
	pinned := pinnedTo(affinity)
	found := ""
	for _, node := range nodes.Items {
		machine := node.Status.NodeInfo.Architecture
		if pinned != "" && node.Name != pinned || pinned == "" && node.Spec.Unschedulable {
			continue
		}
		if _, known := machines[machine]; known {
			return machine, nil
		}
		found = machine
	}
	if found != "" {
		return "", fmt.Errorf("berth has no sessions on nodes of architecture %s", found)
	}
	return "", nil
}

// pinnedTo is the node that pin chose, or "".
func pinnedTo(affinity *core.Affinity) string {
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == metav1.ObjectNameField && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}

// start makes a Job and waits until its pod runs.
func (c *Client) start(ctx context.Context, job *batch.Job, step progress.Step) (*core.Pod, error) {
	limited, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the pod did not start within %s", startLimit))
	defer cancel()
	w := &waiting{client: c, job: job.Name, detail: step.Detail, first: map[string]time.Time{}}
	if err := w.watch(limited); err != nil {
		return nil, err
	}
	defer func() { w.watcher.Stop() }()
	if _, err := c.kube.BatchV1().Jobs(c.environment).Create(limited, job, metav1.CreateOptions{FieldManager: own.Manager}); err != nil {
		return nil, fmt.Errorf("make Job %s: %w", job.Name, err)
	}
	return w.running(limited)
}

func (c *Client) setDeadline(ctx context.Context, job string, limit time.Duration) error {
	patch := fmt.Appendf(nil, `{"spec":{"activeDeadlineSeconds":%d}}`, int64(limit/time.Second))
	_, err := c.kube.BatchV1().Jobs(c.environment).Patch(ctx, job, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: own.Manager})
	if err != nil {
		return fmt.Errorf("set the deadline of Job %s: %w", job, err)
	}
	return nil
}

// remove removes a session's Job with its pod. It does so also when ctx has
// ended; what it fails to remove the cluster does.
func (c *Client) remove(ctx context.Context, job string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	along := metav1.DeletePropagationBackground
	_ = c.kube.BatchV1().Jobs(c.environment).Delete(ctx, job, metav1.DeleteOptions{PropagationPolicy: &along})
}

// hold is the connection that keeps a pod alive.
type hold struct {
	// ctx ends when the pod's first process has, or the connection to it. Its
	// cause is an error of the connection, if there was one.
	ctx   context.Context
	input *io.PipeWriter
	ended chan struct{}
}

func (c *Client) hold(ctx context.Context, pod *core.Pod) *hold {
	read, write := io.Pipe()
	held, cancel := context.WithCancelCause(ctx)
	h := &hold{ctx: held, input: write, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		err := c.attach(held, pod.Name, pod.Spec.Containers[0].Name, read)
		read.Close()
		cancel(err)
	}()
	go func() {
		ticker := time.NewTicker(alive)
		defer ticker.Stop()
		for {
			_, _ = write.Write([]byte{'\n'})
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return h
}

// end lets the pod end.
func (h *hold) end() {
	h.input.Close()
	select {
	case <-h.ended:
	case <-time.After(time.Second):
	}
}

// whyEnded says why a session's pod ended while its session went on, or nil
// when it did not.
func (c *Client) whyEnded(ctx context.Context, name, job string, h *hold) error {
	pod, err := c.endedPod(ctx, name, h)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("pod %s was removed while the session was on", name)
	case err != nil:
		return fault.WithHint(fmt.Errorf("the connection to the cluster was lost: %w", err), "the cluster ends what was running")
	}
	for _, status := range pod.Status.ContainerStatuses {
		if end := status.State.Terminated; end != nil && end.Reason == "OOMKilled" {
			limit := pod.Spec.Containers[0].Resources.Limits.Memory()
			return fault.WithHint(fmt.Errorf("pod %s was killed because it used more memory than its limit of %s", name, limit),
				"the limit is the process's own: resources.memory in berth.yaml")
		}
	}
	if pod.DeletionTimestamp != nil || pod.Status.Phase == core.PodFailed {
		made, err := c.kube.BatchV1().Jobs(c.environment).Get(ctx, job, metav1.GetOptions{})
		if err == nil && slices.ContainsFunc(made.Status.Conditions, func(condition batch.JobCondition) bool {
			return condition.Reason == batch.JobReasonDeadlineExceeded
		}) {
			limit := time.Duration(*made.Spec.ActiveDeadlineSeconds) * time.Second
			return fault.WithHint(fmt.Errorf("the session reached its limit of %s", limit), "--limit allows more")
		}
		return fmt.Errorf("pod %s was removed while the session was on: %s", name, cmp.Or(pod.Status.Message, pod.Status.Reason, "by hand"))
	}
	if cause := context.Cause(h.ctx); h.ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("the connection to pod %s was lost: %w", name, cause)
	}
	return nil
}

// endedPod returns a pod; one whose first process has ended once its status
// says so too, which the kubelet tells a moment later.
func (c *Client) endedPod(ctx context.Context, name string, h *hold) (pod *core.Pod, err error) {
	for range 10 {
		pod, err = c.kube.CoreV1().Pods(c.environment).Get(ctx, name, metav1.GetOptions{})
		if err != nil || h.ctx.Err() == nil || pod.Status.Phase != core.PodRunning || pod.DeletionTimestamp != nil {
			return pod, err
		}
		if err := poll.Sleep(ctx, 300*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return pod, nil
}
