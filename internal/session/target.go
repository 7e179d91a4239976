package session

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"berth/internal/fault"
	"berth/internal/rollout"
)

// web is the process that a session is of when none is named.
const web = "web"

// A process is one kind of pods that a revision runs.
type process struct {
	name string
	// owner is the Deployment or CronJob, which is what is deployed now.
	owner metav1.OwnerReference
	// template is what its pods are made of.
	template core.PodTemplateSpec
	// selector finds its pods; nil for a CronJob's, which come and go.
	selector *metav1.LabelSelector
}

// process finds a process of the deployed revision; "" is the web process, or
// the only one where there is no web process.
func (c *Client) process(ctx context.Context, name string) (*process, error) {
	all, err := c.processes(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fault.WithHint(fmt.Errorf("%s: nothing is deployed", c.environment), "berth deploy %s", c.environment)
	}
	var names []string
	for i := range all {
		if all[i].name == name || name == "" && (all[i].name == web || len(all) == 1) {
			return &all[i], nil
		}
		names = append(names, all[i].name)
	}
	if name == "" {
		return nil, fault.WithHint(fault.Usage("%s has no web process, so name a process", c.environment),
			"--process %s", strings.Join(names, ", --process "))
	}
	return nil, fault.WithHint(fault.Usage("%s has no process %q", c.environment, name), "it has: %s", strings.Join(names, ", "))
}

// processes returns what the application's release runs, the web process first.
func (c *Client) processes(ctx context.Context) ([]process, error) {
	ours := metav1.ListOptions{LabelSelector: instanceLabel + "=" + c.app}
	deployments, err := c.kube.AppsV1().Deployments(c.environment).List(ctx, ours)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", c.environment, err)
	}
	schedules, err := c.kube.BatchV1().CronJobs(c.environment).List(ctx, ours)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", c.environment, err)
	}
	var all []process
	for _, d := range deployments.Items {
		if name, ok := c.processName(d.ObjectMeta, d.Spec.Template.Labels); ok {
			all = append(all, process{name, owner("apps/v1", "Deployment", d.ObjectMeta), d.Spec.Template, d.Spec.Selector})
		}
	}
	for _, s := range schedules.Items {
		if name, ok := c.processName(s.ObjectMeta, s.Spec.JobTemplate.Spec.Template.Labels); ok {
			all = append(all, process{name, owner("batch/v1", "CronJob", s.ObjectMeta), s.Spec.JobTemplate.Spec.Template, nil})
		}
	}
	slices.SortFunc(all, func(a, b process) int {
		switch {
		case a.name == web:
			return -1
		case b.name == web:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return all, nil
}

// processName tells the application's own workloads, named <app> and
// <app>-<process>, from those of its services and its database, whose pods
// carry the name of what they run.
func (c *Client) processName(workload metav1.ObjectMeta, labels map[string]string) (string, bool) {
	component := labels[componentLabel]
	switch {
	case workload.Name == c.app:
		return web, true
	case workload.Name == c.app+"-"+component && labels[nameLabel] == c.app:
		return component, true
	}
	return "", false
}

func owner(version, kind string, o metav1.ObjectMeta) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: version, Kind: kind, Name: o.Name, UID: o.UID}
}

// pod finds the pod for a session: the one that is named, or the newest ready
// one of a process, or the newest that runs at all.
func (c *Client) pod(ctx context.Context, name, named string) (*core.Pod, error) {
	if named != "" {
		pod, err := c.kube.CoreV1().Pods(c.environment).Get(ctx, named, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) || err == nil && pod.Labels[instanceLabel] != c.app:
			return nil, fault.WithHint(fault.Usage("%s has no pod %q of %s", c.environment, named, c.app), "berth status lists them")
		case err != nil:
			return nil, fmt.Errorf("look at pod %s: %w", named, err)
		}
		return pod, nil
	}
	p, err := c.process(ctx, name)
	if err != nil {
		return nil, err
	}
	if p.selector == nil {
		return nil, fault.WithHint(fault.Usage("the process %s runs on a schedule, so it has no running pod", p.name),
			"berth run %s --process %s", c.environment, p.name)
	}
	selector, err := metav1.LabelSelectorAsSelector(p.selector)
	if err != nil {
		return nil, fmt.Errorf("find the pods of %s: %w", p.owner.Name, err)
	}
	pods, err := c.pods(ctx, selector.String())
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fault.WithHint(fmt.Errorf("no pod of %s runs in %s", p.name, c.environment), "berth run %s starts one for you; berth status says more", c.environment)
	}
	return &pods[0], nil
}

// pods returns the running pods of a selector that stay, the best one for a
// session first: a ready one, the newest.
func (c *Client) pods(ctx context.Context, selector string) ([]core.Pod, error) {
	list, err := c.kube.CoreV1().Pods(c.environment).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("look for a pod: %w", err)
	}
	pods := slices.DeleteFunc(list.Items, func(pod core.Pod) bool {
		by := metav1.GetControllerOf(&pod)
		return pod.DeletionTimestamp != nil || pod.Status.Phase != core.PodRunning || by != nil && by.Kind == "Job"
	})
	slices.SortFunc(pods, func(a, b core.Pod) int {
		if x, y := rollout.Ready(&a), rollout.Ready(&b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return pods, nil
}

// database returns the StatefulSet of the environment's PostgreSQL, or an error
// that says what its database is instead.
func (c *Client) database(ctx context.Context) (*apps.StatefulSet, error) {
	// Of several servers, the Service's is the one that serves.
	service, err := c.kube.CoreV1().Services(c.environment).Get(ctx, c.app+"-postgresql", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, errNoDatabase
	}
	if err != nil {
		return nil, fmt.Errorf("look for the database: %w", err)
	}
	found, err := c.kube.AppsV1().StatefulSets(c.environment).List(ctx, metav1.ListOptions{LabelSelector: labels.FormatLabels(service.Spec.Selector)})
	if err != nil {
		return nil, fmt.Errorf("look for the database: %w", err)
	}
	if len(found.Items) == 0 {
		return nil, errNoDatabase
	}
	return &found.Items[0], nil
}
