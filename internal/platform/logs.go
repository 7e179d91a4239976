package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/logs"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Logs is the log agent of a cluster, one for all environments.
type Logs struct {
	cluster *provider.Cluster
	client  kubernetes.Interface
	config  *config.Config
}

const (
	agent         = "collector" // the chart, the release, its DaemonSet
	logsNamespace = "logging"
)

// agentPart is the agent's release, but for its values.
var agentPart = part{
	chart: agent, name: agent, namespace: logsNamespace,
	security: "privileged", // it reads a folder of the node
}

// NewLogs returns the log agent of a cluster.
func NewLogs(cluster *provider.Cluster, c *config.Config) (*Logs, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, err
	}
	return &Logs{cluster, client, c}, nil
}

// Install brings the log agent to what it should be and waits until it runs on
// every node. The bucket may be nil where it is no sink.
func (l *Logs) Install(ctx context.Context, bucket *provider.Bucket, image string, r progress.Reporter) error {
	return progress.Run(r, "Install the log agent", func(step progress.Step) error {
		err := namespace(ctx, l.client, agentPart)
		if err == nil {
			err = alone(ctx, l.client, logsNamespace, step, func(ctx context.Context) error {
				return l.install(ctx, bucket, image, step)
			})
		}
		if err != nil {
			return fault.WithHint(fmt.Errorf("install the log agent: %w", err),
				"see what it says: kubectl --kubeconfig %s -n %s logs daemonset/%s", l.cluster.Kubeconfig, logsNamespace, agent)
		}
		return nil
	})
}

func (l *Logs) install(ctx context.Context, bucket *provider.Bucket, image string, step progress.Step) error {
	_, present, err := l.release()
	if err != nil {
		return err
	}
	others, err := l.others(ctx, present)
	if err != nil {
		return err
	}
	secrets := l.secrets(bucket)
	p := l.part(bucket, image, checksum(secrets), others)
	if err := p.pullWith(ctx, l.cluster, l.client); err != nil {
		return err
	}
	for name, data := range secrets {
		if err := (kube.Secret{Namespace: logsNamespace, Name: name, Data: bytesOf(data)}).Apply(ctx, l.client); err != nil {
			return err
		}
	}
	return install(ctx, l.cluster, l.client, p, step)
}

// The Secrets of the agent, apart from the release, so that no secret is in its
// history.
const (
	bucketSecret = "logs-bucket"
	hostedSecret = "logs-hosted"
)

func (l *Logs) secrets(bucket *provider.Bucket) map[string]map[string]string {
	secrets := map[string]map[string]string{}
	if bucket != nil {
		access, secret := bucket.LogKeys()
		secrets[bucketSecret] = map[string]string{"BUCKET_ACCESS_KEY": access, "BUCKET_SECRET_KEY": secret, "ca.crt": string(bucket.CA)}
	}
	if l.goesTo(config.OTLPSink) || l.goesTo(config.FramesSink) {
		hosted := map[string]string{}
		for _, name := range []string{config.LogsEndpoint, config.LogsSourceID, config.LogsAPIKey} {
			if value := l.config.DotEnv[name]; value != "" {
				hosted[name] = value
			}
		}
		secrets[hostedSecret] = hosted
	}
	return secrets
}

func (l *Logs) goesTo(sink string) bool { return slices.Contains(l.config.LogSinks(), sink) }

// checksum changes with the Secrets, so that agents start again with them. It
// tells nothing of them: keys are long and random.
func checksum(secrets map[string]map[string]string) string {
	content, err := json.Marshal(secrets) // in the order of its keys
	if err != nil {
		return "" // strings can be marshalled
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

func (l *Logs) part(bucket *provider.Bucket, image, checksum string, others []string) part {
	ports := []int{443, 6443}
	values := map[string]any{
		"image":          map[string]any{"reference": image},
		"namespaces":     union(l.config.EnvironmentNames(), others),
		"configChecksum": checksum,
		"bucket":         map[string]any{"enabled": false},
	}
	if bucket != nil {
		destination := map[string]any{
			"enabled": true, "endpoint": bucket.URL(), "name": bucket.Name, "prefix": logs.Prefix, "secret": bucketSecret,
		}
		if bucket.Region != "" {
			destination["region"] = bucket.Region
		}
		if len(bucket.CA) > 0 {
			destination["caSecret"] = bucketSecret
		}
		values["bucket"] = destination
		ports = append(ports, port(bucket.URL()))
	}
	for _, sink := range []string{config.OTLPSink, config.FramesSink} {
		if l.goesTo(sink) {
			values[sink] = map[string]any{"secret": hostedSecret}
		}
	}
	if l.goesTo(config.OTLPSink) || l.goesTo(config.FramesSink) {
		ports = append(ports, port(l.config.DotEnv[config.LogsEndpoint]))
	}
	slices.Sort(ports)
	values["networkPolicy"] = map[string]any{"ports": slices.Compact(ports)}
	if from := l.cluster.PodLogs; from != nil {
		values["logs"] = map[string]any{"folder": from.Folder, "perNode": from.PerNode}
		values["state"] = map[string]any{"folder": from.State}
	}
	p := agentPart
	p.values = values
	return p
}

// ErrNoAgent is returned where no log agent is installed.
var ErrNoAgent = errors.New("no log agent is installed")

// An AgentStatus is how the agent of one node is doing. Sinks are as the agent
// tells of them (docs/logs.md).
type AgentStatus struct {
	Node  string       `json:"node"`
	Sinks []SinkStatus `json:"sinks"`
	// Problem is why the agent cannot be asked; empty when it has answered.
	Problem string `json:"problem,omitempty"`
}

// A SinkStatus is how a sink takes lines.
type SinkStatus struct {
	Name string `json:"name"`
	// State is waiting, ok or failing.
	State string `json:"state"`
	// Answer is the sink's own, when it is failing.
	Answer   string    `json:"answer,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	LastSent time.Time `json:"lastSent,omitzero"`
	// Sent, Dropped and Rejected count lines since the agent started.
	Sent     int64 `json:"sent"`
	Dropped  int64 `json:"dropped"`
	Rejected int64 `json:"rejected"`
}

// Status asks the agents of all nodes.
func (l *Logs) Status(ctx context.Context) ([]AgentStatus, error) {
	there, err := l.installed(ctx)
	if err == nil && !there {
		err = ErrNoAgent
	}
	if err != nil {
		return nil, err
	}
	pods, err := l.client.CoreV1().Pods(logsNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + agent})
	if err != nil {
		return nil, fmt.Errorf("look for the log agents: %w", err)
	}
	nodes, err := l.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("look for the nodes of the log agents: %w", err)
	}
	all := []AgentStatus{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		// The pod of a node that was removed stays for a minute, as running.
		present := slices.ContainsFunc(nodes.Items, func(n corev1.Node) bool { return n.Name == pod.Spec.NodeName })
		if pod.DeletionTimestamp != nil || !present {
			continue
		}
		all = append(all, l.ask(ctx, pod))
	}
	slices.SortFunc(all, func(a, b AgentStatus) int { return strings.Compare(a.Node, b.Node) })
	return all, nil
}

func (l *Logs) ask(ctx context.Context, pod *corev1.Pod) AgentStatus {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status := AgentStatus{Node: pod.Spec.NodeName}
	answer, err := l.client.CoreV1().Pods(logsNamespace).ProxyGet("http", pod.Name, "13134", "/status", nil).DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(answer, &status)
	}
	if err != nil {
		status.Problem = fmt.Sprintf("the agent does not answer: %v", err)
	}
	return status
}
