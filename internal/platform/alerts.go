package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/mask"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Alerts is the watch of a cluster, one for all environments, which tells people
// of what breaks.
type Alerts struct {
	cluster *provider.Cluster
	client  kubernetes.Interface
	config  *config.Config
}

const (
	watchName      = "watch" // the chart, the release, its Deployment
	watchNamespace = "watch"
	watchSecret    = "watch-settings"
	// applicationAnnotation names whose .env says where messages go.
	applicationAnnotation = "berth/application"
)

// watchPart is the watch's release, but for its values.
var watchPart = part{
	chart: watchName, name: watchName, namespace: watchNamespace, security: "restricted",
}

// NewAlerts returns the watch of a cluster.
func NewAlerts(cluster *provider.Cluster, c *config.Config) (*Alerts, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, err
	}
	return &Alerts{cluster, client, c}, nil
}

// Install brings the watch to what it should be and waits until it runs. It gets
// fingerprints of the secrets, to hide them in what it quotes, and not the
// secrets.
func (a *Alerts) Install(ctx context.Context, image string, destinations []alert.Destination, secrets []string, r progress.Reporter) error {
	present, err := a.present(ctx)
	if err != nil {
		return err
	}
	if owner := ownerOf(present); owner != "" && owner != a.config.Name {
		r.Note(fmt.Sprintf("alerts of this cluster go where the .env of %s says: %s here is not used", owner, config.AlertsURL))
		return nil
	}
	return progress.Run(r, "Install the watch", func(step progress.Step) error {
		err := namespace(ctx, a.client, watchPart)
		if err == nil {
			err = alone(ctx, a.client, watchNamespace, step, func(ctx context.Context) error {
				return a.install(ctx, image, destinations, secrets, step)
			})
		}
		if err != nil {
			return fault.WithHint(fmt.Errorf("install the watch: %w", err),
				"see what it says: kubectl --kubeconfig %s -n %s logs deployment/%s", a.cluster.Kubeconfig, watchNamespace, watchName)
		}
		return nil
	})
}

func (a *Alerts) install(ctx context.Context, image string, destinations []alert.Destination, secrets []string, step progress.Step) error {
	present, err := a.present(ctx) // as it is now: another may have been quicker
	if err != nil {
		return err
	}
	if owner := ownerOf(present); owner != "" && owner != a.config.Name {
		step.Detail("that of " + owner + " stays")
		return nil
	}
	settings, err := a.settings(ctx, secrets)
	if err != nil {
		return err
	}
	if err := (kube.Secret{Namespace: watchNamespace, Name: watchSecret, Data: bytesOf(settings)}).Apply(ctx, a.client); err != nil {
		return err
	}
	p := a.part(image, destinations, checksum(map[string]map[string]string{watchSecret: settings}))
	if err := p.pullWith(ctx, a.cluster, a.client); err != nil {
		return err
	}
	return install(ctx, a.cluster, a.client, p, step)
}

// settings are what the watch reads that is secret. The fingerprints' salt stays
// as it is, so that the same secrets make the same settings.
func (a *Alerts) settings(ctx context.Context, secrets []string) (map[string]string, error) {
	var before mask.Fingerprints
	found, err := a.client.CoreV1().Secrets(watchNamespace).Get(ctx, watchSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("read Secret %s: %w", watchSecret, err)
	default:
		if json.Unmarshal(found.Data["masks.json"], &before) != nil {
			before = mask.Fingerprints{}
		}
	}
	masks, err := json.Marshal(mask.Fingerprint(secrets, before.Salt))
	if err != nil {
		return nil, err
	}
	return map[string]string{
		config.AlertsURL: a.config.DotEnv[config.AlertsURL], config.AlertsPingURL: a.config.DotEnv[config.AlertsPingURL],
		"masks.json": string(masks),
	}, nil
}

func (a *Alerts) part(image string, destinations []alert.Destination, checksum string) part {
	ports := []int{443}
	for _, d := range destinations {
		ports = append(ports, d.Port())
	}
	if ping, err := url.Parse(a.config.DotEnv[config.AlertsPingURL]); err == nil && ping.Host != "" {
		ports = append(ports, port(ping.Scheme+"://"+ping.Host))
	}
	slices.Sort(ports)
	namespaces := slices.Concat(a.config.EnvironmentNames(), []string{"ingress", logsNamespace})
	if a.cluster.Issuer != "" {
		namespaces = append(namespaces, "cert-manager")
	}
	ingress := ""
	if a.cluster.Ingress != nil {
		ingress = "ingress"
	}
	p := watchPart
	p.values = map[string]any{
		"image":            map[string]any{"reference": image},
		"application":      a.config.Name,
		"cluster":          label(a.cluster.Name),
		"namespaces":       namespaces,
		"ingressNamespace": ingress,
		"secret":           watchSecret,
		"configChecksum":   checksum,
		"networkPolicy":    map[string]any{"ports": slices.Compact(ports)},
	}
	return p
}

// label is a cluster's name as the chart takes it: a context's may be anything.
func label(name string) string {
	text := []rune(name)
	for i, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_' {
			text[i] = '-'
		}
	}
	if len(text) == 0 {
		return "cluster"
	}
	return string(text)
}

// Remove takes the watch away, if there is one of this application's.
func (a *Alerts) Remove(ctx context.Context, r progress.Reporter) error {
	present, err := a.present(ctx)
	if err != nil || present == nil || ownerOf(present) != a.config.Name {
		return err
	}
	return progress.Run(r, "Remove the watch", func(progress.Step) error {
		if err := uninstall(a.cluster, watchNamespace, watchName); err != nil {
			return err
		}
		return kube.DeleteNamespace(ctx, a.client, watchNamespace)
	})
}

// present returns the watch's Deployment, or nil.
func (a *Alerts) present(ctx context.Context) (*appsv1.Deployment, error) {
	found, err := a.client.AppsV1().Deployments(watchNamespace).Get(ctx, watchName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && found.DeletionTimestamp != nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the watch: %w", err)
	}
	return found, nil
}

// ownerOf is the application whose watch it is, or "".
func ownerOf(watch *appsv1.Deployment) string {
	if watch == nil {
		return ""
	}
	return watch.Annotations[applicationAnnotation]
}

// ErrNoWatch is returned where nothing watches the cluster.
var ErrNoWatch = errors.New("nothing watches this cluster")

// Status asks the watch what is broken.
func (a *Alerts) Status(ctx context.Context) (*alert.Report, error) {
	report := &alert.Report{}
	return report, a.ask(ctx, "GET", "/status", report)
}

// Test has the watch send a test message, by the way that any other takes.
func (a *Alerts) Test(ctx context.Context) ([]alert.Trial, error) {
	var trials []alert.Trial
	err := a.ask(ctx, "POST", "/test", &trials)
	return trials, err
}

// ask sends the watch a request through the API server.
func (a *Alerts) ask(ctx context.Context, method, path string, answer any) error {
	present, err := a.present(ctx)
	if err != nil {
		return err
	}
	if present == nil {
		return ErrNoWatch
	}
	pods, err := a.client.CoreV1().Pods(watchNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + watchName})
	if err != nil {
		return fmt.Errorf("look for the watch: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil || pod.Status.Phase != "Running" {
			continue
		}
		content, err := a.client.CoreV1().RESTClient().Verb(method).Namespace(watchNamespace).Resource("pods").
			Name(pod.Name + ":" + strconv.Itoa(watchPort)).SubResource("proxy").Suffix(path).DoRaw(ctx)
		if err == nil {
			err = json.Unmarshal(content, answer)
		}
		if err != nil {
			return fmt.Errorf("ask the watch: %w", err)
		}
		return nil
	}
	return fault.WithHint(errors.New("the watch does not run"),
		"see why: kubectl --kubeconfig %s -n %s describe pods", a.cluster.Kubeconfig, watchNamespace)
}

// watchPort is where the watch answers.
const watchPort = 8080
