package platform

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
)

// applicationAnnotation names the application that a shared part is of.
const applicationAnnotation = "berth/application"

// shared is a part that a cluster has once, for all applications in it: a
// Deployment of the part's name. It is as the application says that has installed
// it, which its annotation names; another neither changes it nor takes it away.
type shared struct {
	part
	what    string // for people: "the watch"
	cluster *provider.Cluster
	client  kubernetes.Interface
	// application is the one that asks.
	application string
}

// openShared returns a part of a cluster.
func openShared(p part, what string, cluster *provider.Cluster, application string) (shared, error) {
	client, err := kube.Connect(cluster.REST)
	return shared{p, what, cluster, client, application}, err
}

// installShared brings the part to what describe says and waits until it runs. It
// changes nothing where it is another application's; foreign is what is then said,
// with a %s for that one.
func (s shared) installShared(ctx context.Context, foreign string, describe func(ctx context.Context) (part, error), r progress.Reporter) error {
	present, err := s.present(ctx)
	if err != nil {
		return err
	}
	if owner := s.foreign(present); owner != "" {
		r.Note(fmt.Sprintf(foreign, owner))
		return nil
	}
	return progress.Run(r, "Install "+s.what, func(step progress.Step) error {
		err := namespace(ctx, s.client, s.part)
		if err == nil {
			err = alone(ctx, s.client, s.namespace, step, func(ctx context.Context) error { return s.change(ctx, describe, step) })
		}
		if err != nil {
			return fault.WithHint(fmt.Errorf("install %s: %w", s.what, err),
				"see what it says: kubectl --kubeconfig %s -n %s logs deployment/%s", s.cluster.Kubeconfig, s.namespace, s.name)
		}
		return nil
	})
}

func (s shared) change(ctx context.Context, describe func(ctx context.Context) (part, error), step progress.Step) error {
	present, err := s.present(ctx) // as it is now: another may have been quicker
	if err != nil {
		return err
	}
	if owner := s.foreign(present); owner != "" {
		step.Detail("that of " + owner + " stays")
		return nil
	}
	p, err := describe(ctx)
	if err != nil {
		return err
	}
	if err := p.pullWith(ctx, s.cluster, s.client); err != nil {
		return err
	}
	return install(ctx, s.cluster, s.client, p, step)
}

// Remove takes the part away with all that it has stored, if there is one of this
// application's.
func (s shared) Remove(ctx context.Context, r progress.Reporter) error {
	present, err := s.present(ctx)
	if err != nil || present == nil || present.Annotations[applicationAnnotation] != s.application {
		return err
	}
	return progress.Run(r, "Remove "+s.what, func(progress.Step) error {
		if err := uninstall(s.cluster, s.namespace, s.name); err != nil {
			return err
		}
		return kube.DeleteNamespace(ctx, s.client, s.namespace)
	})
}

// present returns the part's Deployment, or nil.
func (s shared) present(ctx context.Context) (*appsv1.Deployment, error) {
	found, err := s.client.AppsV1().Deployments(s.namespace).Get(ctx, s.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && found.DeletionTimestamp != nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", s.what, err)
	}
	return found, nil
}

// foreign is the application whose the part is, or "" where this one may change it.
func (s shared) foreign(present *appsv1.Deployment) string {
	if present == nil || present.Annotations[applicationAnnotation] == s.application {
		return ""
	}
	return present.Annotations[applicationAnnotation]
}

// pod returns the part's pod that runs. It is absent where the part is not there.
func (s shared) pod(ctx context.Context, absent error) (*corev1.Pod, error) {
	present, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	if present == nil {
		return nil, absent
	}
	pods, err := s.client.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + s.name})
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", s.what, err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			return pod, nil
		}
	}
	return nil, fault.WithHint(fmt.Errorf("%s does not run", s.what),
		"see why: kubectl --kubeconfig %s -n %s describe pods", s.cluster.Kubeconfig, s.namespace)
}
