package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/mask"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Alerts is the watch of a cluster, one for all environments, which tells people
// of what breaks.
type Alerts struct {
	shared
	config *config.Config
}

const (
	watchName      = "watch" // the chart, the release, its Deployment
	watchNamespace = "watch"
	watchSecret    = "watch-settings"
)

// watchPart is the watch's release, but for its values.
var watchPart = part{
	chart: watchName, name: watchName, namespace: watchNamespace, security: "restricted",
}

// NewAlerts returns the watch of a cluster.
func NewAlerts(cluster *provider.Cluster, c *config.Config) (*Alerts, error) {
	s, err := openShared(watchPart, "the watch", cluster, c.Name)
	return &Alerts{s, c}, err
}

// Install brings the watch to what it should be and waits until it runs. It gets
// fingerprints of the secrets, to hide them in what it quotes, and not the
// secrets.
func (a *Alerts) Install(ctx context.Context, image string, destinations []alert.Destination, secrets []string, r progress.Reporter) error {
	foreign := "alerts of this cluster go where the .env of %s says: " + config.AlertsURL + " here is not used"
	return a.installShared(ctx, foreign, func(ctx context.Context) (part, error) {
		settings, err := a.settings(ctx, secrets)
		if err != nil {
			return part{}, err
		}
		if err := (kube.Secret{Namespace: watchNamespace, Name: watchSecret, Data: bytesOf(settings)}).Apply(ctx, a.client); err != nil {
			return part{}, err
		}
		return a.describe(image, destinations, checksum(map[string]map[string]string{watchSecret: settings})), nil
	}, r)
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

func (a *Alerts) describe(image string, destinations []alert.Destination, checksum string) part {
	ports := []int{443}
	for _, d := range destinations {
		ports = append(ports, d.Port())
	}
	if ping, err := url.Parse(a.config.DotEnv[config.AlertsPingURL]); err == nil && ping.Host != "" {
		ports = append(ports, port(ping.Scheme+"://"+ping.Host))
	}
	slices.Sort(ports)
	namespaces := slices.Concat(a.config.EnvironmentNames(), []string{"ingress", logsNamespace})
	if a.config.Metrics.Kept() {
		namespaces = append(namespaces, metricsNamespace)
	}
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
	pod, err := a.pod(ctx, ErrNoWatch)
	if err != nil {
		return err
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

// watchPort is where the watch answers.
const watchPort = 8080
