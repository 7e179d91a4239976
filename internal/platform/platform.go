// Package platform installs what every cluster runs besides the application,
// each as a Helm release in a namespace of its own.
package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"

	"berth/charts"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/helm"
	"berth/internal/progress"
	"berth/internal/provider"
)

// readyTimeout bounds how long a part of the platform may take to be ready.
const readyTimeout = 3 * time.Minute

// part is one Helm release of the platform.
type part struct {
	title string // for people: "Install the ingress controller"
	// chart is one of berth's own, or published one of others.
	chart     string
	published published
	name      string // of the release
	namespace string
	// security is the Pod Security level that the namespace enforces. Empty
	// leaves the namespace to whoever made it.
	security string
	values   map[string]any
	// timeout bounds how long it may take to be ready; 0 is readyTimeout.
	timeout time.Duration
}

// load returns the chart.
func (p part) load() (*chart.Chart, error) {
	if p.published != (published{}) {
		return p.published.pull()
	}
	return charts.Load(p.chart)
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
	return all
}

// Install brings the platform to what it shall be and waits until it is ready.
// A part that is there already in this form is left alone.
func Install(ctx context.Context, cluster *provider.Cluster, _ *config.Config, r progress.Reporter) error {
	client, err := kubernetes.NewForConfig(cluster.REST)
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	for _, p := range parts(cluster) {
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

// namespace makes the part's namespace, where that is berth's to make.
func namespace(ctx context.Context, client kubernetes.Interface, p part) error {
	if p.security == "" {
		return nil
	}
	wanted := core.Namespace(p.namespace).WithLabels(map[string]string{
		"app.kubernetes.io/managed-by":       helm.Manager,
		"pod-security.kubernetes.io/enforce": p.security,
	})
	if _, err := client.CoreV1().Namespaces().Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: helm.Manager, Force: true}); err != nil {
		return fmt.Errorf("make namespace %s: %w", p.namespace, err)
	}
	return nil
}

func removeNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	err := client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

func install(ctx context.Context, cluster *provider.Cluster, client kubernetes.Interface, p part, step progress.Step) error {
	if err := namespace(ctx, client, p); err != nil {
		return err
	}
	config, err := helm.Open(cluster.REST, p.namespace)
	if err != nil {
		return err
	}
	present, err := latest(config, p.name)
	if err != nil || p.isPublished(present) {
		return err
	}
	wanted, err := p.load()
	if err != nil {
		return err
	}
	step.Detail("waiting until it is ready")
	switch {
	case present == nil:
		return first(ctx, config, p, wanted)
	case present.Info.Status.IsPending():
		// An earlier run was interrupted; Helm refuses to go on until
		// somebody says so.
		present.SetStatus(common.StatusFailed, "interrupted")
		if err := config.Releases.Update(present); err != nil {
			return fmt.Errorf("mark the interrupted release as failed: %w", err)
		}
	case present.Info.Status == common.StatusDeployed && same(present, wanted, p.values):
		return nil
	}
	upgrade := action.NewUpgrade(config)
	upgrade.Namespace = p.namespace
	upgrade.ResetValues = true
	upgrade.ServerSideApply = "true"
	upgrade.ForceConflicts = true
	upgrade.MaxHistory = 5
	upgrade.WaitStrategy = kube.StatusWatcherStrategy
	upgrade.Timeout = p.patience()
	_, err = upgrade.RunWithContext(ctx, p.name, wanted, stored(p.values))
	return err
}

func first(ctx context.Context, config *action.Configuration, p part, wanted *chart.Chart) error {
	install := action.NewInstall(config)
	install.ReleaseName = p.name
	install.Namespace = p.namespace
	install.ServerSideApply = true
	install.ForceConflicts = true
	install.WaitStrategy = kube.StatusWatcherStrategy
	install.Timeout = p.patience()
	_, err := install.RunWithContext(ctx, wanted, stored(p.values))
	return err
}

// latest returns the newest revision, or nil.
func latest(config *action.Configuration, name string) (*helmrelease.Release, error) {
	found, err := config.Releases.Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the release %s: %w", name, err)
	}
	present, ok := found.(*helmrelease.Release)
	if !ok {
		return nil, fmt.Errorf("read the release %s: unknown kind of release %T", name, found)
	}
	return present, nil
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
	client, err := kubernetes.NewForConfig(cluster.REST)
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	for _, p := range parts(cluster) {
		err := progress.Run(r, "Remove "+p.name, func(progress.Step) error {
			if err := uninstall(cluster, p.namespace, p.name); err != nil {
				return err
			}
			return removeNamespace(ctx, client, p.namespace)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// uninstall takes a release away; it does not mind if there is none.
func uninstall(cluster *provider.Cluster, namespace, name string) error {
	config, err := helm.Open(cluster.REST, namespace)
	if err != nil {
		return err
	}
	uninstall := action.NewUninstall(config)
	uninstall.IgnoreNotFound = true
	uninstall.WaitStrategy = kube.StatusWatcherStrategy
	uninstall.Timeout = readyTimeout
	if _, err := uninstall.Run(name); err != nil {
		return fmt.Errorf("uninstall %s: %w", name, err)
	}
	return nil
}
