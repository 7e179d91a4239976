package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
)

const (
	// podNamespace is where the bench makes its pods: the log agent reads what
	// the environments' namespaces log, and nothing else.
	podNamespace = "staging"
	// podName begins the names of what the bench makes there. As their one
	// label's value it tells them from everything else: it is what no Service,
	// Deployment or NetworkPolicy of the application's selects.
	podName = "bench-agent"
	// podLifetime ends the pods of a run that was killed, should no other run
	// remove them.
	podLifetime = time.Hour
)

var podLabels = map[string]string{"app.kubernetes.io/name": podName}

// Keys of the bench's Secret.
const (
	passwordKey    = "password"
	databaseURLKey = "DATABASE_URL"
	tokenKey       = "CONDUIT_SECRET" // what the application signs tokens with
)

func connect(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("read kubeconfig: %w", err), "It takes the cluster of this machine: make up")
	}
	return kubernetes.NewForConfig(config)
}

// startApplication makes a pod as staging's, with a database of its own as
// production's, and fills that. It returns the pods, the application's last. No
// pod or volume of the environments has a part in it, and their Secrets none but
// that the application reads what else it needs from staging's.
func startApplication(ctx context.Context, client kubernetes.Interface) ([]*corev1.Pod, error) {
	deployments, err := client.AppsV1().Deployments(podNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=web"})
	if err != nil {
		return nil, fmt.Errorf("look for the application: %w", err)
	}
	// Staging may do without one.
	databases, err := client.AppsV1().StatefulSets("production").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=database"})
	if err != nil {
		return nil, fmt.Errorf("look for the database: %w", err)
	}
	if len(deployments.Items) == 0 || len(databases.Items) == 0 {
		return nil, fault.WithHint(errors.New("there is no application in staging, or no PostgreSQL in production, to make a pod like it"),
			"It takes the cluster of this machine with the environments of Berth's berth.yaml: make up")
	}

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: podName, Labels: podLabels},
		StringData: map[string]string{passwordKey: rand.Text(), tokenKey: rand.Text() + rand.Text()},
	}
	if secret, err = client.CoreV1().Secrets(podNamespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("make the Secret: %w", err)
	}
	database, err := startPod(ctx, client, databasePod(databases.Items[0].Spec.Template, databases.Items[0].Spec.VolumeClaimTemplates))
	if err != nil {
		return nil, err
	}
	container := database.Spec.Containers[0]
	reach := url.URL{
		Scheme: "postgres", User: url.UserPassword(value(container, "POSTGRES_USER"), string(secret.Data[passwordKey])),
		Host: podAddress(database), Path: value(container, "POSTGRES_DB"), RawQuery: "sslmode=disable", // as the chart's
	}
	fmt.Fprintf(os.Stderr, "fill %s\n", database.Name)
	if err := fill(ctx, reach); err != nil {
		return nil, fmt.Errorf("fill the database: %w", err)
	}

	secret.StringData = map[string]string{databaseURLKey: reach.String()}
	if _, err := client.CoreV1().Secrets(podNamespace).Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return nil, fmt.Errorf("write the database's URL into the Secret: %w", err)
	}
	web, err := startPod(ctx, client, webPod(deployments.Items[0].Spec.Template))
	if err != nil {
		return nil, err
	}
	return []*corev1.Pod{database, web}, nil
}

// fill fills a new database. Left to itself, autovacuum would gather statistics
// within a minute and change how the queries run in the middle of measuring.
func fill(ctx context.Context, reach url.URL) error {
	// It goes faster without waiting for the disk; reading is the same.
	reach.RawQuery += "&synchronous_commit=off"
	if err := seed(ctx, reach.String()); err != nil {
		return err
	}
	connection, err := pgx.Connect(ctx, reach.String())
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, "ANALYZE")
	return errors.Join(err, connection.Close(ctx))
}

// webPod returns a pod from the template of the application's Deployment, which
// has its database and what it signs tokens with from the bench's Secret.
func webPod(template corev1.PodTemplateSpec) *corev1.Pod {
	pod := podOf(template, podName+"-web")
	container := &pod.Spec.Containers[0]
	for _, name := range []string{databaseURLKey, tokenKey} {
		container.Env = slices.DeleteFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == name })
		container.Env = append(container.Env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: podName}, Key: name},
		}})
	}
	return pod
}

// databasePod returns a pod from the template of the database's StatefulSet,
// which has its password from the bench's Secret and its data in the pod.
func databasePod(template corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) *corev1.Pod {
	pod := podOf(template, podName+"-database")
	for i := range pod.Spec.Volumes {
		if secret := pod.Spec.Volumes[i].Secret; secret != nil {
			secret.SecretName = podName
		}
	}
	for _, claim := range claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: emptyVolume()})
	}
	return pod
}

// podOf returns a pod that is no part of what the template belongs to: neither
// by its labels nor by its volumes.
func podOf(template corev1.PodTemplateSpec, name string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: podLabels}, Spec: *template.Spec.DeepCopy()}
	spec := &pod.Spec
	for i := range spec.Volumes {
		if spec.Volumes[i].PersistentVolumeClaim != nil {
			spec.Volumes[i].VolumeSource = emptyVolume()
		}
	}
	// The accounts are for the rights that they have; one is of another
	// namespace.
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = "default", "default"
	spec.Affinity, spec.TopologySpreadConstraints = nil, nil
	seconds := int64(podLifetime.Seconds())
	spec.ActiveDeadlineSeconds = &seconds
	return pod
}

func emptyVolume() corev1.VolumeSource {
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
}

// value is an environment variable's, empty if it has none.
func value(container corev1.Container, name string) string {
	i := slices.IndexFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == name })
	if i < 0 {
		return ""
	}
	return container.Env[i].Value
}

// startPod makes a pod, waits until it is ready and returns it as it is then.
func startPod(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) (*corev1.Pod, error) {
	pods := client.CoreV1().Pods(podNamespace)
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("make the pod %s: %w", pod.Name, err)
	}
	var now *corev1.Pod
	state := ""
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (ready bool, err error) {
		if now, err = pods.Get(ctx, pod.Name, metav1.GetOptions{}); err != nil {
			return false, err
		}
		if s := podState(now); s != state {
			state = s
			fmt.Fprintf(os.Stderr, "%s: %s\n", pod.Name, state)
		}
		return state == podReady, nil
	})
	if err != nil {
		return nil, fmt.Errorf("the pod %s is %q: %w", pod.Name, state, err)
	}
	return now, nil
}

// podAddress is a pod's first port, as host:port.
func podAddress(pod *corev1.Pod) string {
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(pod.Spec.Containers[0].Ports[0].ContainerPort)))
}

const podReady = "ready"

// podState tells how far a pod is, or why it does not get further.
func podState(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return podReady
		}
	}
	for _, container := range pod.Status.ContainerStatuses {
		if waiting := container.State.Waiting; waiting != nil {
			return waiting.Reason
		}
	}
	return string(pod.Status.Phase)
}

// removeApplication removes whatever a run has made, and waits until it is gone.
// It takes its time even when the run was interrupted.
func removeApplication(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ours := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: podLabels})}
	pods, secrets := client.CoreV1().Pods(podNamespace), client.CoreV1().Secrets(podNamespace)
	second := int64(1) // nobody waits for an answer
	err := errors.Join(
		pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &second}, ours),
		secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, ours))
	if err != nil {
		return fmt.Errorf("remove what the bench made: %w", err)
	}
	err = wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (gone bool, err error) {
		left, err := pods.List(ctx, ours)
		return err == nil && len(left.Items) == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait until the bench's pods are gone: %w", err)
	}
	return nil
}

// logAgents returns the log agents' pods.
func logAgents(ctx context.Context, client kubernetes.Interface) (agents []*corev1.Pod, err error) {
	pods, err := client.CoreV1().Pods("logging").List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=collector", FieldSelector: "status.phase=Running",
	})
	if err != nil {
		return nil, fmt.Errorf("look for the log agents: %w", err)
	}
	for i := range pods.Items {
		agents = append(agents, &pods.Items[i])
	}
	return agents, nil
}
