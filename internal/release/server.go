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

	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// A Volume is one that a server of PostgreSQL starts on, and what its pod says of it.
type Volume struct {
	Claim string
	// Path is where the volume is mounted, and Data the folder of the server's data in it.
	Path, Data string
	// Version is the major version of the server.
	Version int
	// Security is that of the server's pod: it wants the files to be its user's.
	Security *core.PodSecurityContext
}

// volumeOf is the volume of a server.
func volumeOf(set *apps.StatefulSet, of Server, claim string) Volume {
	pod := set.Spec.Template.Spec
	v := Volume{Claim: claim, Version: of.Version, Security: pod.SecurityContext}
	for _, mount := range pod.Containers[0].VolumeMounts {
		if mount.Name == set.Spec.VolumeClaimTemplates[0].Name {
			v.Path = mount.MountPath
		}
	}
	for _, env := range pod.Containers[0].Env {
		if env.Name == "PGDATA" {
			v.Data = env.Value
		}
	}
	return v
}

// makeVolume makes that of a server before its StatefulSet does, to say from the first
// moment on what it is.
func (s *switching) makeVolume(set *apps.StatefulSet) error {
	template := set.Spec.VolumeClaimTemplates[0]
	claim := &core.PersistentVolumeClaim{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: template.Spec}
	claim.Name, claim.Namespace = template.Name+"-"+set.Name+"-0", s.environment
	claim.Annotations = map[string]string{unfinishedAnnotation: "true"}
	if _, err := s.kube.CoreV1().PersistentVolumeClaims(s.environment).Create(s.ctx, claim, metav1.CreateOptions{FieldManager: own.Manager}); err != nil {
		return fmt.Errorf("make a volume: %w", err)
	}
	return nil
}

// start makes a server whose volume is there, and which the release will take over.
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
	options := metav1.CreateOptions{FieldManager: own.Manager}
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

// endFilling ends the Jobs that use a volume: one that fills it may have outlived its
// berth.
func (s *switching) endFilling(ctx context.Context, claim string) error {
	jobs := s.kube.BatchV1().Jobs(s.environment)
	background := metav1.DeletePropagationBackground
	list, err := jobs.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("look for what uses volume %s: %w", claim, err)
	}
	for _, job := range list.Items {
		for _, volume := range job.Spec.Template.Spec.Volumes {
			if volume.PersistentVolumeClaim == nil || volume.PersistentVolumeClaim.ClaimName != claim {
				continue
			}
			if err := jobs.Delete(ctx, job.Name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("end Job %s, which uses volume %s: %w", job.Name, claim, err)
			}
		}
	}
	return nil
}

// removeServer deletes a server with its volume, and waits until they are gone.
func (s *switching) removeServer(ctx context.Context, of Server) error {
	name, claim := of.name(s.config.Name), of.claim(s.config.Name)
	if err := s.endFilling(ctx, claim); err != nil {
		return err
	}
	foreground := metav1.DeletePropagationForeground
	err := poll.Until(ctx, s.timeouts.poll/4, func(ctx context.Context) (bool, error) {
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
func (s *switching) scaleServer(ctx context.Context, of Server, replicas int32) error {
	sets := s.kube.AppsV1().StatefulSets(s.environment)
	name := of.name(s.config.Name)
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
	if _, err := sets.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: own.Manager}); err != nil {
		return fmt.Errorf("scale %s: %w", name, err)
	}
	err = poll.Until(ctx, s.timeouts.poll/4, func(ctx context.Context) (bool, error) {
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
