package watch

import (
	"slices"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strip takes out of an object what nobody asks for, so that a watch stays small
// in a large cluster.
func (c *cluster) strip(object any) any {
	about, err := meta.Accessor(object)
	if err != nil {
		return object
	}
	about.SetManagedFields(nil)
	annotations := map[string]string{}
	for _, name := range []string{batch.CronJobScheduledTimestampAnnotation, "helm.sh/hook"} {
		if value, ok := about.GetAnnotations()[name]; ok {
			annotations[name] = value
		}
	}
	about.SetAnnotations(annotations)
	ours := c.watched(about.GetNamespace())
	switch o := object.(type) {
	case *core.Pod:
		if !ours {
			o.Spec, o.Status, o.Labels = core.PodSpec{}, core.PodStatus{}, nil
			break
		}
		o.Spec = core.PodSpec{
			NodeName: o.Spec.NodeName, InitContainers: containers(o.Spec.InitContainers), Containers: containers(o.Spec.Containers),
		}
		for _, statuses := range [][]core.ContainerStatus{o.Status.InitContainerStatuses, o.Status.ContainerStatuses} {
			for i := range statuses {
				s := &statuses[i]
				statuses[i] = core.ContainerStatus{Name: s.Name, State: s.State, LastTerminationState: s.LastTerminationState,
					Ready: s.Ready, RestartCount: s.RestartCount, Started: s.Started}
			}
		}
	case *core.Event:
		if !ours {
			*o = core.Event{ObjectMeta: bare(o.ObjectMeta)}
			break
		}
		if len(o.Message) > 1024 {
			o.Message = o.Message[:1024]
		}
	case *core.Node:
		o.Labels = nil
		o.Spec = core.NodeSpec{Unschedulable: o.Spec.Unschedulable}
		o.Status = core.NodeStatus{Conditions: o.Status.Conditions, Addresses: o.Status.Addresses, DaemonEndpoints: o.Status.DaemonEndpoints}
	case *batch.Job:
		o.Spec = batch.JobSpec{}
	case *batch.CronJob:
		o.Spec.JobTemplate = batch.JobTemplateSpec{}
	case *apps.Deployment:
		o.Spec.Template, o.Spec.Selector = core.PodTemplateSpec{}, nil
	case *apps.StatefulSet:
		o.Spec.Template, o.Spec.Selector, o.Spec.VolumeClaimTemplates = core.PodTemplateSpec{}, nil, nil
	case *apps.DaemonSet:
		o.Spec.Template, o.Spec.Selector = core.PodTemplateSpec{}, nil
	}
	return object
}

// bare is what an informer has to have of an object.
func bare(about metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: about.Name, Namespace: about.Namespace, UID: about.UID, ResourceVersion: about.ResourceVersion}
}

// containers keeps of containers what a diagnosis needs.
func containers(all []core.Container) []core.Container {
	kept := make([]core.Container, len(all))
	for i, c := range all {
		kept[i] = core.Container{Name: c.Name, Ports: c.Ports, StartupProbe: c.StartupProbe}
		if limit, some := c.Resources.Limits[core.ResourceMemory]; some {
			kept[i].Resources.Limits = core.ResourceList{core.ResourceMemory: limit}
		}
	}
	return kept
}

// watched reports whether a namespace is. Nodes have none.
func (c *cluster) watched(namespace string) bool {
	return namespace == "" || slices.Contains(c.namespaces, namespace)
}
