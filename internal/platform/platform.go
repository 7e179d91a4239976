// Package platform installs what every cluster runs besides the application,
// each as a Helm release in a namespace of its own.
package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/client-go/kubernetes"

	"berth/charts"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/helm"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
)

// part is one Helm release of the platform.
type part struct {
	title string // for people: "Install the ingress controller"
	// chart is one of berth's own, or published one of others.
	chart     string
	published published
	name      string // of the release
	namespace string
	// security is the Pod Security level that the namespace enforces. Empty
	// leaves the namespace to its maker.
	security string
	values   map[string]any
	// api is the API that the part serves, as "metrics.k8s.io/v1beta1". Where
	// something else serves it already, the part is left out.
	api string
	// labels are those of its Secrets.
	labels map[string]string
	// timeout bounds how long nothing may change before it is ready; 0 is
	// readyTimeout.
	timeout time.Duration
}

// load returns the chart.
func (p part) load() (*chart.Chart, error) {
	if p.published != (published{}) {
		return p.published.pull()
	}
	return charts.Load(p.chart)
}

// Install brings the platform to what it should be and waits until it is ready.
// A part that is there already in this form is left alone.
func Install(ctx context.Context, cluster *provider.Cluster, _ *config.Config, r progress.Reporter) error {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return err
	}
	for _, p := range parts(cluster) {
		if foreign, err := p.foreign(cluster, client); err != nil {
			return err
		} else if foreign {
			continue
		}
		if err := progress.Run(r, p.title, func(step progress.Step) error {
			return install(ctx, cluster, client, p, step)
		}); err != nil {
			return fault.WithHint(fmt.Errorf("install %s: %w", p.name, err),
				"see what it says: kubectl --kubeconfig %s -n %s get pods,services,events", cluster.Kubeconfig, p.namespace)
		}
	}
	if in := cluster.LoadBalancer; in != nil && in.Certificates {
		return applyIssuers(ctx, cluster, r)
	}
	return nil
}

// parts are what a cluster needs, in the order to install them.
func parts(cluster *provider.Cluster) []part {
	var all []part
	if in := cluster.Ingress; in != nil {
		all = append(all, part{
			title: "Install the ingress controller", chart: "ingress", name: "ingress", namespace: "ingress",
			security: "privileged", // it listens on the node's own network
			values: map[string]any{
				"image": map[string]any{"reference": in.Image},
				"http":  in.HTTP, "https": in.HTTPS, "node": in.Node,
			},
		})
	}
	if cluster.LoadBalancer != nil {
		all = append(all, behindLoadBalancer(cluster)...)
	}
	if cluster.Metrics {
		all = append(all, part{
			title: "Install metrics-server", chart: "metrics-server", name: "metrics-server", namespace: "metrics-server",
			security: "restricted", api: kube.MetricsGroupVersion,
		})
	}
	return all
}

// foreign reports whether somebody else's serves the API that the part would
// serve: it stays, and there cannot be two.
func (p part) foreign(cluster *provider.Cluster, client kubernetes.Interface) (bool, error) {
	if p.api == "" {
		return false, nil
	}
	if installed, err := p.installed(cluster); err != nil || installed {
		return false, err
	}
	return kube.Serves(client, p.api)
}

// installed reports whether the part's release is there.
func (p part) installed(cluster *provider.Cluster) (bool, error) {
	release, err := helm.Open(cluster.REST, p.namespace, p.name)
	if err != nil {
		return false, err
	}
	past, err := release.History()
	return len(past) > 0, err
}

// namespace makes the part's namespace, where that is berth's to make.
func namespace(ctx context.Context, client kubernetes.Interface, p part) error {
	if p.security == "" {
		return nil
	}
	return kube.ApplyNamespace(ctx, client, p.namespace, kube.Enforce(p.security))
}

func install(ctx context.Context, cluster *provider.Cluster, client kubernetes.Interface, p part, step progress.Step) error {
	if err := namespace(ctx, client, p); err != nil {
		return err
	}
	release, err := helm.Open(cluster.REST, p.namespace, p.name)
	if err != nil {
		return err
	}
	past, err := release.History()
	if err != nil {
		return err
	}
	var present *helmrelease.Release
	if len(past) > 0 {
		present = past[len(past)-1]
	}
	if p.isPublished(present) {
		return nil
	}
	wanted, err := p.load()
	if err != nil {
		return err
	}
	if present != nil && present.Info.Status == common.StatusDeployed && same(present, wanted, p.values) {
		return nil
	}
	step.Detail("waiting until it is ready")
	if err := release.Recover(past); err != nil {
		return err
	}
	w := waiting{client, p.namespace, p.name, time.Second, p.patience()}
	return w.during(ctx, step, func(ctx context.Context) error {
		return release.Apply(ctx, wanted, stored(p.values), present != nil, helm.Change{Timeout: mostTime, MaxHistory: 5})
	})
}

// alone changes a part that a cluster's applications share, one application at a
// time: what it should be depends on what it is. The namespace must be there.
func alone(ctx context.Context, client kubernetes.Interface, namespace string, step progress.Step, change func(context.Context) error) error {
	lock := kube.Lock{
		Client: client, Namespace: namespace, Name: "berth", Who: kube.Operator(),
		Duration: 30 * time.Second, Renew: 5 * time.Second,
	}
	return lock.Wait(ctx, func(error) { step.Detail("waiting for another command that changes it") }, change)
}

// pullWith names in the values of a chart of berth's own what its image is pulled
// by, where it is not for everybody. It is asked before anything waits for pods.
func (p part) pullWith(ctx context.Context, cluster *provider.Cluster, client kubernetes.Interface) error {
	if cluster.PullLogins == nil {
		return nil
	}
	image := p.values["image"].(map[string]any)
	reference, _ := image["reference"].(string)
	if reference == "" {
		return nil // the chart's own is for everybody
	}
	secret := kube.Secret{Namespace: p.namespace, Name: p.name + "-pull", Labels: p.labels}
	name, err := kube.PullSecret(ctx, client, secret, func() ([]byte, error) { return cluster.PullLogins(ctx, reference) })
	if name != "" {
		image["pullSecrets"] = []any{name}
	}
	return err
}

// same reports whether a release was made of this chart and these values.
func same(present *helmrelease.Release, wanted *chart.Chart, values map[string]any) bool {
	if present.Chart == nil || len(present.Chart.Templates) != len(wanted.Templates) {
		return false
	}
	for i, template := range wanted.Templates {
		was := present.Chart.Templates[i]
		if was.Name != template.Name || string(was.Data) != string(template.Data) {
			return false
		}
	}
	return reflect.DeepEqual(present.Config, stored(values)) && reflect.DeepEqual(present.Chart.Values, wanted.Values)
}

// isPublished reports whether a release is of a published chart, which never
// changes under its version, with these values: then it need not be fetched.
func (p part) isPublished(present *helmrelease.Release) bool {
	return present != nil && p.published != (published{}) && present.Info.Status == common.StatusDeployed &&
		present.Chart != nil && present.Chart.Metadata != nil && present.Chart.Metadata.Version == p.published.version &&
		reflect.DeepEqual(present.Config, stored(p.values))
}

func (p part) patience() time.Duration {
	if p.timeout == 0 {
		return readyTimeout
	}
	return p.timeout
}

// stored returns values as JSON has them, which is what schemas are checked
// against and what comes back from Helm's storage: a number is a float64, every
// list a []any.
func stored(values map[string]any) map[string]any {
	content, err := json.Marshal(values)
	var back map[string]any
	if err != nil || json.Unmarshal(content, &back) != nil {
		return values // which then count as changed
	}
	return back
}

// Remove takes the platform away.
func Remove(ctx context.Context, cluster *provider.Cluster, _ *config.Config, r progress.Reporter) error {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return err
	}
	for _, p := range parts(cluster) {
		if p.api != "" { // the namespace may be that of somebody else's
			if installed, err := p.installed(cluster); err != nil {
				return err
			} else if !installed {
				continue
			}
		}
		err := progress.Run(r, "Remove "+p.name, func(progress.Step) error {
			if err := uninstall(cluster, p.namespace, p.name); err != nil {
				return err
			}
			return kube.DeleteNamespace(ctx, client, p.namespace)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// uninstall takes a release away; it does not mind if there is none.
func uninstall(cluster *provider.Cluster, namespace, name string) error {
	release, err := helm.Open(cluster.REST, namespace, name)
	if err != nil {
		return err
	}
	return release.Uninstall(readyTimeout)
}
