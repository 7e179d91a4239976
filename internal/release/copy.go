package release

import (
	"context"
	"fmt"
	"maps"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// Copy is an environment's application in a namespace of its own: with the
// environment's settings and secrets, one pod, and its own database and services.
// It has no ingress, no cron jobs and no workers. The caller makes its network
// policies.
type Copy struct {
	*Client
	of        *Client
	original  string
	namespace string
}

// Copy returns the copy of an environment in a namespace, which it does not make.
func (c *Client) Copy(environment, namespace string) (*Copy, error) {
	if _, err := c.environment(environment); err != nil {
		return nil, err
	}
	client := *c
	client.config = copied(c.config, environment, namespace)
	return &Copy{Client: &client, of: c, original: environment, namespace: namespace}, nil
}

// copied is the configuration with one environment: a copy of another.
func copied(c *config.Config, environment, namespace string) *config.Config {
	all := *c
	// What requests say of their host stays the same, as applications check it.
	all.Health.Host = c.HealthHost(environment)
	all.DotEnv = maps.Clone(c.DotEnv)
	for _, name := range c.SecretsOf(environment) {
		if value, ok := c.DotEnv[config.OwnSecret(environment, name)]; ok {
			all.DotEnv[config.OwnSecret(namespace, name)] = value
		}
	}
	e := c.Environments[environment]
	e.Hosts, e.Backup, e.Replicas, e.Processes, e.Judge = nil, config.Backup{}, 1, nil, 0
	all.Processes, all.Judge = nil, 0
	if !c.HasWeb() {
		// The chart wants a process: none of them runs.
		all.Processes = map[string]config.Process{}
		for name, p := range c.Processes {
			p.Schedule, p.Replicas = "", 0
			all.Processes[name] = p
		}
	}
	e.Values = merge(e.Values, map[string]any{
		"replicas": 1, "preStopSeconds": 0, "terminationGracePeriodSeconds": 5, "minReadySeconds": 0,
		"ingress":       map[string]any{"enabled": false},
		"autoscaling":   map[string]any{"enabled": false},
		"pdb":           map[string]any{"enabled": false},
		"networkPolicy": map[string]any{"enabled": false},
		"services":      map[string]any{"networkPolicy": map[string]any{"enabled": false}},
		"postgresql":    map[string]any{"networkPolicy": map[string]any{"enabled": false}, "terminationGracePeriodSeconds": 5},
	})
	all.Environments = map[string]config.Environment{namespace: e}
	return &all
}

// Deploy releases an image to the copy, as [Client.Deploy] does to the environment,
// and reports its progress.
func (c *Copy) Deploy(ctx context.Context, image string, stages Stages, r progress.Reporter) error {
	// A secret that .env does not name has its value in the cluster.
	if err := c.take(ctx, c.config.Name+"-env", c.config.Name+"-env"); err != nil {
		return err
	}
	_, err := c.Staged(stages).Deploy(ctx, c.namespace, image, r)
	return err
}

// take copies a Secret of the environment, if it has it.
func (c *Copy) take(ctx context.Context, name, as string) error {
	found, err := c.kube.CoreV1().Secrets(c.original).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Secret %s/%s: %w", c.original, name, err)
	}
	annotations := map[string]string{}
	if salt := found.Annotations[saltAnnotation]; salt != "" {
		annotations[saltAnnotation] = salt
	}
	return kube.Secret{
		Namespace: c.namespace, Name: as, Type: found.Type, Data: found.Data, Annotations: annotations,
		Labels: map[string]string{"app.kubernetes.io/instance": c.config.Name},
	}.Apply(ctx, c.kube)
}

// presentProcess is what the pods of the present image are called in a copy, beside web,
// which are those of the new one.
const presentProcess = "present"

// A Side is one of the images that run on a copy.
type Side struct {
	Image string
	// Process is whose pods they are, Port where they listen.
	Process string
	Port    int
	// TLS says that they speak HTTPS; Host and Path are those of the request that asks
	// for their health. Path is empty where the port is all that is asked.
	TLS        bool
	Host, Path string
}

// New is the side of the image that is deployed to the copy; Port is 0 where nothing
// answers requests.
func (c *Copy) New(image string) Side {
	s := Side{Image: image, Process: "web", Port: c.config.Port, Host: c.config.Health.Host, TLS: c.config.Environments[c.namespace].UpstreamTLS}
	if c.config.Health.ByHTTP() {
		s.Path = c.config.Health.Path
	}
	return s
}

// StartPresent starts a pod on the copy as the environment's are now: the image, settings
// and secrets of the revision that serves. The Side has no port where nothing answers
// requests.
func (c *Copy) StartPresent(ctx context.Context) (Side, error) {
	serving, err := c.kube.AppsV1().Deployments(c.original).Get(ctx, c.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Side{}, nil
	}
	if err != nil {
		return Side{}, fmt.Errorf("look at what serves: %w", err)
	}
	deployment, secrets := c.present(serving)
	for from, to := range secrets {
		if err := c.take(ctx, from, to); err != nil {
			return Side{}, err
		}
	}
	if _, err := c.kube.AppsV1().Deployments(c.namespace).Create(ctx, deployment, metav1.CreateOptions{FieldManager: own.Manager}); err != nil {
		return Side{}, fmt.Errorf("start the present image: %w", err)
	}
	return sideOf(deployment), nil
}

// present makes of the Deployment that serves the one on the copy, and says which Secrets
// of the environment it reads, and as what.
func (c *Copy) present(serving *apps.Deployment) (*apps.Deployment, map[string]string) {
	secrets := map[string]string{}
	// The servers' passwords are the copy's own; all else is as it was.
	kept := map[string]bool{c.config.Name + "-postgresql": true}
	for service := range c.of.config.Services {
		kept[serviceSecret(c.config, service)] = true
	}
	rename := func(name *string) {
		if *name != "" && !kept[*name] {
			secrets[*name] = *name + "-" + presentProcess
			*name = secrets[*name]
		}
	}
	template := serving.Spec.Template.DeepCopy()
	labels := maps.Clone(template.Labels)
	labels["app.kubernetes.io/component"] = presentProcess
	template.Labels = labels
	spec := &template.Spec
	spec.TerminationGracePeriodSeconds, spec.TopologySpreadConstraints = new(int64(5)), nil
	for i := range spec.ImagePullSecrets {
		rename(&spec.ImagePullSecrets[i].Name)
	}
	for i := range spec.Volumes {
		if secret := spec.Volumes[i].Secret; secret != nil {
			rename(&secret.SecretName)
		}
	}
	for i := range spec.Containers {
		container := &spec.Containers[i]
		container.Lifecycle = nil
		for j := range container.Env {
			if from := container.Env[j].ValueFrom; from != nil && from.SecretKeyRef != nil {
				rename(&from.SecretKeyRef.Name)
			}
		}
	}
	return &apps.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.config.Name + "-" + presentProcess, Namespace: c.namespace,
			Labels: map[string]string{own.ManagedBy: own.Manager, "app.kubernetes.io/instance": c.config.Name, "app.kubernetes.io/component": presentProcess},
		},
		Spec: apps.DeploymentSpec{
			Replicas: new(int32(1)), Template: *template, ProgressDeadlineSeconds: serving.Spec.ProgressDeadlineSeconds,
			Selector: &metav1.LabelSelector{MatchLabels: labelsOf(labels)},
		},
	}, secrets
}

// labelsOf are the labels that select the pods of a process.
func labelsOf(all map[string]string) map[string]string {
	selected := map[string]string{}
	for _, name := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"} {
		selected[name] = all[name]
	}
	return selected
}

// sideOf reads how to ask pods from their own probe.
func sideOf(d *apps.Deployment) Side {
	container := d.Spec.Template.Spec.Containers[0]
	s := Side{Image: container.Image, Process: presentProcess}
	if len(container.Ports) > 0 {
		s.Port = int(container.Ports[0].ContainerPort)
	}
	if probe := container.ReadinessProbe; probe != nil && probe.HTTPGet != nil {
		s.Path, s.TLS = probe.HTTPGet.Path, probe.HTTPGet.Scheme == core.URISchemeHTTPS
		for _, header := range probe.HTTPGet.HTTPHeaders {
			if header.Name == "Host" {
				s.Host = header.Value
			}
		}
	}
	return s
}

// RestartPresent starts another pod of the present image beside the one that runs, as
// going back to it would, and lets AwaitPresent wait for both.
func (c *Copy) RestartPresent(ctx context.Context) error {
	_, err := c.kube.AppsV1().Deployments(c.namespace).Patch(ctx, c.config.Name+"-"+presentProcess, types.MergePatchType,
		[]byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{FieldManager: own.Manager})
	if err != nil {
		return fmt.Errorf("start the present image again: %w", err)
	}
	return nil
}

// AwaitPresent returns nil once all pods of the present image are ready, or [*Failed].
func (c *Copy) AwaitPresent(ctx context.Context, step progress.Step) error {
	started := time.Now()
	wait := c.rollout(c.namespace, []rollout.Workload{{Kind: "Deployment", Name: c.config.Name + "-" + presentProcess}}, c.timeouts.deploy, step)
	err := wait.Wait(ctx)
	lost, ok := err.(*rollout.Error)
	if !ok {
		return err
	}
	failed := &Failed{Environment: c.namespace}
	failed.Reasons, failed.Events = wait.Explain(ctx, lost, c.Secrets(ctx, c.namespace), started)
	failed.Cause = &rollout.Error{Reasons: failed.Reasons}
	return failed
}
