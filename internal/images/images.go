// Package images finds the container images that a cluster still needs: those of its
// workloads, and those that a rollback would need.
package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// set is a set of references.
type set map[string]bool

// Needed returns the references of all images that a cluster needs, in any
// namespace and for any application:
//
//   - those of every workload, even if it runs no pods at present;
//   - those of every revision of every Helm release, except failed revisions:
//     nothing rolls back to them.
func Needed(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	found := set{}
	for _, add := range []func(context.Context, kubernetes.Interface) error{found.revisions, found.workloads, found.pods} {
		if err := add(ctx, client); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Of returns the images that the objects of a manifest name: the values of
// "image", wherever an object has one.
func Of(manifest string) ([]string, error) {
	found := set{}
	err := found.manifest(manifest)
	return slices.Sorted(maps.Keys(found)), err
}

func (s set) manifest(text string) error {
	for documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		var object any
		if err := documents.Decode(&object); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read manifest: %w", err)
		}
		s.walk(object)
	}
}

func (s set) walk(value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			if reference, ok := below.(string); ok && key == "image" {
				s[reference] = true
			}
			s.walk(below)
		}
	case []any:
		for _, below := range value {
			s.walk(below)
		}
	}
}

func (s set) spec(spec corev1.PodSpec) {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		s[c.Image] = true
	}
	for _, c := range spec.EphemeralContainers {
		s[c.Image] = true
	}
}

// counting notes how many Secrets there are: Helm passes over those that it
// cannot read, but an image may be named by one of them.
type counting struct {
	typedcorev1.SecretInterface
	count int
}

func (c *counting) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	list, err := c.SecretInterface.List(ctx, o)
	if err == nil {
		c.count = len(list.Items)
	}
	return list, err
}

func (s set) revisions(_ context.Context, client kubernetes.Interface) error {
	secrets := &counting{SecretInterface: client.CoreV1().Secrets(metav1.NamespaceAll)}
	all, err := driver.NewSecrets(secrets).List(func(release.Releaser) bool { return true })
	if err != nil {
		return fmt.Errorf("list revisions: %w", err)
	}
	if unread := secrets.count - len(all); unread > 0 {
		return fmt.Errorf("%d of the cluster's %d Helm revisions cannot be read", unread, secrets.count)
	}
	for _, one := range all {
		r, ok := one.(*helmrelease.Release)
		if !ok {
			return fmt.Errorf("list revisions: unknown kind of release %T", one)
		}
		if r.Info != nil && r.Info.Status == common.StatusFailed {
			continue
		}
		if err := s.manifest(r.Manifest); err != nil {
			return fmt.Errorf("revision %d of %s: %w", r.Version, r.Name, err)
		}
		for _, hook := range r.Hooks {
			if err := s.manifest(hook.Manifest); err != nil {
				return fmt.Errorf("revision %d of %s: %w", r.Version, r.Name, err)
			}
		}
	}
	return nil
}

// workloads are asked for before pods: what they make meanwhile is then in one
// of both.
func (s set) workloads(ctx context.Context, client kubernetes.Interface) error {
	var all metav1.ListOptions
	apps := client.AppsV1()
	deployments, err := apps.Deployments("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list Deployments: %w", err)
	}
	for _, d := range deployments.Items {
		s.spec(d.Spec.Template.Spec)
	}
	// "kubectl rollout undo" goes back to these.
	replicaSets, err := apps.ReplicaSets("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list ReplicaSets: %w", err)
	}
	for _, r := range replicaSets.Items {
		s.spec(r.Spec.Template.Spec)
	}
	statefulSets, err := apps.StatefulSets("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list StatefulSets: %w", err)
	}
	for _, w := range statefulSets.Items {
		s.spec(w.Spec.Template.Spec)
	}
	daemonSets, err := apps.DaemonSets("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list DaemonSets: %w", err)
	}
	for _, w := range daemonSets.Items {
		s.spec(w.Spec.Template.Spec)
	}
	// The history of StatefulSets and DaemonSets.
	revisions, err := apps.ControllerRevisions("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list ControllerRevisions: %w", err)
	}
	for _, r := range revisions.Items {
		var object any
		if json.Unmarshal(r.Data.Raw, &object) == nil {
			s.walk(object)
		}
	}
	cronJobs, err := client.BatchV1().CronJobs("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list CronJobs: %w", err)
	}
	for _, w := range cronJobs.Items {
		s.spec(w.Spec.JobTemplate.Spec.Template.Spec)
	}
	jobs, err := client.BatchV1().Jobs("").List(ctx, all)
	if err != nil {
		return fmt.Errorf("list Jobs: %w", err)
	}
	for _, w := range jobs.Items {
		s.spec(w.Spec.Template.Spec)
	}
	return nil
}

func (s set) pods(ctx context.Context, client kubernetes.Interface) error {
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	for _, p := range pods.Items {
		s.spec(p.Spec)
	}
	return nil
}

// Short is a reference as people read it: of a digest, as many digits as tell
// images apart. No registry takes it; it is for tables and progress.
func Short(reference string) string {
	const algorithm, digits = "@sha256:", 12
	if i := strings.Index(reference, algorithm); i >= 0 {
		return reference[:min(len(reference), i+len(algorithm)+digits)]
	}
	return reference
}
