package helm

import (
	"context"
	"fmt"
	"time"

	"berth/internal/kube/own"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	engine "helm.sh/helm/v4/pkg/kube"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/client-go/rest"
)

// Await waits until what was just applied serves. Helm calls it between
// applying the objects and marking the revision, so that "deployed" and
// "superseded" in Helm's own history mean that a revision has served.
type Await func(engine.ResourceList) error

// Release is one Helm release: a name in a namespace.
type Release struct {
	config          *action.Configuration
	name, namespace string
	await           Await
	steps           *Steps
	// last applies what comes after the waiting; nil for nothing.
	last func() error
	// doing describes the revision under way, annotations say more of it, and
	// number is its number.
	doing       string
	annotations map[string]string
	number      int
}

// Open opens a release of a namespace, whether it is installed or not.
func Open(reach *rest.Config, namespace, name string) (*Release, error) {
	config, err := open(reach, namespace)
	if err != nil {
		return nil, err
	}
	return New(config, namespace, name), nil
}

// New puts berth's own waiting and bookkeeping into a configuration.
func New(config *action.Configuration, namespace, name string) *Release {
	r := &Release{config: config, name: name, namespace: namespace}
	config.KubeClient = &cluster{Interface: config.KubeClient, release: r}
	config.Releases.Driver = records{config.Releases.Driver, r}
	return r
}

// Change is how a revision is made.
type Change struct {
	// Description says what is done and who does it; empty leaves Helm's own.
	Description string
	// Annotations are kept with the revision, for programs: [Annotation] returns
	// them. A rollback has those of the revision that it goes back to, but for
	// those that are given here.
	Annotations map[string]string
	// Await waits; nil lets Helm wait until its objects are ready, for Timeout.
	Await Await
	// Steps, with an Await, is in which order objects are applied.
	Steps *Steps
	// Timeout bounds each hook and each deletion.
	Timeout time.Duration
	// MaxHistory is how many revisions are kept that served, are of a content of
	// their own and so can be gone back to. Those that failed or went back stay
	// as long as they are younger, up to twice as many. Each is a Secret. 0
	// keeps all.
	MaxHistory int
}

// wait is how Helm is told to wait.
func (c Change) wait() engine.WaitStrategy {
	if c.Await != nil {
		return engine.HookOnlyStrategy
	}
	return engine.StatusWatcherStrategy
}

// Render returns the manifest that Apply would apply to an installed release.
func (h *Release) Render(c *chart.Chart, values map[string]any) (string, error) {
	up := h.upgrade(Change{})
	up.DryRunStrategy = action.DryRunServer
	r, err := up.Run(h.name, c, values)
	if err != nil {
		return "", fmt.Errorf("render the chart: %w", err)
	}
	rendered, ok := r.(*helmrelease.Release)
	if !ok {
		return "", fmt.Errorf("render the chart: unknown kind of release %T", r)
	}
	return rendered.Manifest, nil
}

// Apply installs the chart, or upgrades the installed one, and waits.
//
// With an Await of the caller, Helm does not get ctx: Helm's action would return on
// cancellation while its work goes on in the background. Applying takes seconds;
// the waiting, which takes minutes, respects ctx.
func (h *Release) Apply(ctx context.Context, c *chart.Chart, values map[string]any, installed bool, change Change) error {
	if err := h.begin(change, 0); err != nil {
		return err
	}
	if change.Await != nil {
		ctx = context.WithoutCancel(ctx)
	}
	if installed {
		if _, err := h.upgrade(change).RunWithContext(ctx, h.name, c, values); err != nil {
			return fmt.Errorf("upgrade the release: %w", err)
		}
		return nil
	}
	install := action.NewInstall(h.config)
	install.ReleaseName = h.name
	install.Namespace = h.namespace
	install.Labels = map[string]string{own.ManagedBy: own.Manager}
	install.Description = change.Description
	install.ServerSideApply = true
	install.ForceConflicts = true
	install.WaitStrategy = change.wait()
	install.Timeout = change.Timeout
	// The API server validates what is applied, and says more when it does.
	install.DisableOpenAPIValidation = true
	if _, err := install.RunWithContext(ctx, c, values); err != nil {
		return fmt.Errorf("install the release: %w", err)
	}
	return nil
}

// begin sets what Helm's client does with the next revision, and makes room for
// it in the history. Target is what it goes back to, or 0.
func (h *Release) begin(change Change, target int) error {
	h.await, h.steps, h.last = change.Await, change.Steps, nil
	h.doing, h.annotations = change.Description, change.Annotations
	return h.forget(change.MaxHistory, target)
}

func (h *Release) upgrade(change Change) *action.Upgrade {
	up := action.NewUpgrade(h.config)
	up.Namespace = h.namespace
	up.Labels = map[string]string{own.ManagedBy: own.Manager}
	up.Description = change.Description
	up.ResetValues = true
	up.ServerSideApply = "true"
	// What the chart says holds, also where somebody changed it by hand.
	up.ForceConflicts = true
	up.WaitStrategy = change.wait()
	up.Timeout = change.Timeout
	up.DisableOpenAPIValidation = true
	return up
}

// Rollback makes a new revision out of an old one, and waits.
func (h *Release) Rollback(revision int, change Change) error {
	if err := h.begin(change, revision); err != nil {
		return err
	}
	h.doing = shorten(h.doing, action.MaxDescriptionLength)
	back := action.NewRollback(h.config)
	back.Version = revision
	back.Description = h.doing
	back.ServerSideApply = "true"
	back.ForceConflicts = true
	back.WaitStrategy = change.wait()
	back.Timeout = change.Timeout
	return back.Run(h.name)
}

// Uninstall removes the release with its history, and waits until its objects
// are gone. It does not mind if there is none. What the chart marks to be kept,
// as volumes, stays.
func (h *Release) Uninstall(timeout time.Duration) error {
	un := action.NewUninstall(h.config)
	un.IgnoreNotFound = true
	un.DeletionPropagation = "foreground"
	un.WaitStrategy = engine.StatusWatcherStrategy
	un.Timeout = timeout
	if _, err := un.Run(h.name); err != nil {
		return fmt.Errorf("uninstall %s: %w", h.name, err)
	}
	return nil
}

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
