package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// start makes a server, which the release will take over.
func (s *switching) start(set *apps.StatefulSet, service *core.Service, step progress.Step) error {
	for _, object := range []metav1.Object{set, service} {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["meta.helm.sh/release-name"], annotations["meta.helm.sh/release-namespace"] = s.config.Name, s.environment
		object.SetAnnotations(annotations)
		object.SetNamespace(s.environment)
	}
	// Made before the StatefulSet does, to say from the first moment on what it is.
	template := set.Spec.VolumeClaimTemplates[0]
	claim := &core.PersistentVolumeClaim{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: template.Spec}
	claim.Name, claim.Namespace = template.Name+"-"+set.Name+"-0", s.environment
	claim.Annotations = map[string]string{unfinishedAnnotation: "true"}
	options := metav1.CreateOptions{FieldManager: kube.Manager}
	if _, err := s.kube.CoreV1().PersistentVolumeClaims(s.environment).Create(s.ctx, claim, options); err != nil {
		return fmt.Errorf("make a volume: %w", err)
	}
	if _, err := s.kube.CoreV1().Services(s.environment).Create(s.ctx, service, options); err != nil {
		return fmt.Errorf("make service %s: %w", service.Name, err)
	}
	if _, err := s.kube.AppsV1().StatefulSets(s.environment).Create(s.ctx, set, options); err != nil {
		return fmt.Errorf("make statefulset %s: %w", set.Name, err)
	}
	started := time.Now()
	wait := s.rollout(s.environment, []rollout.Workload{{Kind: "StatefulSet", Name: set.Name}}, s.timeouts.back, step)
	err := wait.Wait(s.ctx)
	if lost := new(rollout.Error); errors.As(err, &lost) {
		reasons, _ := wait.Explain(s.ctx, lost, s.Secrets(s.held, s.environment), started)
		return fmt.Errorf("it does not start: %w", &rollout.Error{Reasons: reasons})
	}
	return err
}

// serverIn finds the objects of a server in a manifest.
func serverIn(manifest, name string) (*apps.StatefulSet, *core.Service, error) {
	var set *apps.StatefulSet
	var service *core.Service
	for document := range strings.SplitSeq("\n"+manifest, "\n---") {
		var object metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return nil, nil, fmt.Errorf("read the release's manifest: %w", err)
		}
		var into any
		switch {
		case object.Kind == "StatefulSet" && object.Name == name:
			set = &apps.StatefulSet{}
			into = set
		case object.Kind == "Service" && object.Name == name+"-headless":
			service = &core.Service{}
			into = service
		default:
			continue
		}
		if err := yaml.Unmarshal([]byte(document), into); err != nil {
			return nil, nil, fmt.Errorf("read the release's manifest: %w", err)
		}
	}
	if set == nil || service == nil || len(set.Spec.VolumeClaimTemplates) == 0 {
		return nil, nil, fmt.Errorf("the chart has no server %s", name)
	}
	return set, service, nil
}

// removeServer deletes a server with its volume, and waits until they are gone.
func (s *switching) removeServer(ctx context.Context, version int) error {
	name, claim := serverName(s.config.Name, version), claimName(s.config.Name, version)
	foreground := metav1.DeletePropagationForeground
	err := kube.Poll(ctx, s.timeouts.poll/4, func(ctx context.Context) (bool, error) {
		gone := true
		for _, err := range []error{
			s.kube.AppsV1().StatefulSets(s.environment).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &foreground}),
			s.kube.CoreV1().Services(s.environment).Delete(ctx, name+"-headless", metav1.DeleteOptions{}),
			s.kube.CoreV1().PersistentVolumeClaims(s.environment).Delete(ctx, claim, metav1.DeleteOptions{}),
		} {
			if err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
			gone = gone && err != nil
		}
		return gone, nil
	})
	if err != nil {
		return fmt.Errorf("remove %s and its volume: %w", name, err)
	}
	return nil
}

// scaleServer starts a server or stops it, and waits until its pod is there or gone.
func (s *switching) scaleServer(ctx context.Context, version int, replicas int32) error {
	sets := s.kube.AppsV1().StatefulSets(s.environment)
	name := serverName(s.config.Name, version)
	set, err := sets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	if rollout.Replicas(set.Spec.Replicas) == int(replicas) {
		return nil
	}
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if _, err := sets.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: kube.Manager}); err != nil {
		return fmt.Errorf("scale %s: %w", name, err)
	}
	err = kube.Poll(ctx, s.timeouts.poll/4, func(ctx context.Context) (bool, error) {
		pod, err := s.kube.CoreV1().Pods(s.environment).Get(ctx, name+"-0", metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return replicas == 0, nil
		case err != nil:
			return false, err
		}
		return replicas > 0 && rollout.Ready(pod), nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", name, err)
	}
	return nil
}
