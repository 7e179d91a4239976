package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	releaser "helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"

	"berth/internal/fault"
	engine "berth/internal/helm"
)

// maxHistory is how many revisions an environment remembers. Each one is a
// Secret in the environment's namespace.
const maxHistory = 20

// hookTimeout bounds each hook of the chart, and the deleting of its objects.
const hookTimeout = 5 * time.Minute

// await waits until what was just applied serves. Helm calls it between
// applying the objects and marking the revision, so that "deployed" and
// "superseded" in Helm's own history mean that a revision has served.
type await func(kube.ResourceList) error

// helm is one Helm release: the application in one namespace.
type helm struct {
	config    *action.Configuration
	app       string
	namespace string
	await     await
	// doing describes the revision under way, and number is its number.
	doing  string
	number int
}

// openHelm opens the release storage of a namespace.
func openHelm(reach *rest.Config, namespace, app string) (*helm, error) {
	config, err := engine.Open(reach, namespace)
	if err != nil {
		return nil, err
	}
	return newHelm(config, namespace, app), nil
}

// newHelm puts berth's own waiting and bookkeeping into a configuration.
func newHelm(config *action.Configuration, namespace, app string) *helm {
	h := &helm{config: config, app: app, namespace: namespace}
	config.KubeClient = &cluster{Interface: config.KubeClient, helm: h}
	config.Releases.Driver = records{config.Releases.Driver, h}
	return h
}

// history returns all revisions, oldest first; none when nothing is installed.
func (h *helm) history() ([]*helmrelease.Release, error) {
	found, err := h.config.Releases.History(h.app)
	if err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, fmt.Errorf("read the history of %s: %w", h.namespace, err)
	}
	revisions := make([]*helmrelease.Release, 0, len(found))
	for _, f := range found {
		r, ok := f.(*helmrelease.Release)
		if !ok {
			return nil, fmt.Errorf("read the history of %s: unknown kind of release %T", h.namespace, f)
		}
		revisions = append(revisions, r)
	}
	slices.SortFunc(revisions, func(a, b *helmrelease.Release) int { return a.Version - b.Version })
	return revisions, nil
}

// own returns an error when the newest revision was not made by berth.
func (h *helm) own(revisions []*helmrelease.Release) error {
	if len(revisions) == 0 || revisions[len(revisions)-1].Labels[managedBy] == manager {
		return nil
	}
	return fault.WithHint(
		fmt.Errorf("namespace %s holds a Helm release %q that berth did not make", h.namespace, h.app),
		"give the application another name in berth.yaml, or remove that release: helm uninstall -n %s %s", h.namespace, h.app)
}

// recover marks revisions that an interrupted run left pending as failed; Helm
// refuses to go on while one is. It must only be called with the lock held.
func (h *helm) recover(revisions []*helmrelease.Release) error {
	for _, r := range revisions {
		if !r.Info.Status.IsPending() {
			continue
		}
		r.SetStatus(common.StatusFailed, r.Info.Description+": interrupted before it served")
		if err := h.config.Releases.Update(r); err != nil {
			return fmt.Errorf("mark interrupted revision %d as failed: %w", r.Version, err)
		}
	}
	return nil
}

// describe records what became of a revision.
func (h *helm) describe(revision int, description string) error {
	found, err := h.config.Releases.Get(h.app, revision)
	if err != nil {
		return fmt.Errorf("read revision %d: %w", revision, err)
	}
	r, ok := found.(*helmrelease.Release)
	if !ok {
		return fmt.Errorf("read revision %d: unknown kind of release %T", revision, found)
	}
	r.Info.Description = description
	if r.Info.Status.IsPending() {
		r.Info.Status = common.StatusFailed
	}
	if err := h.config.Releases.Update(r); err != nil {
		return fmt.Errorf("record what became of revision %d: %w", revision, err)
	}
	return nil
}

// render returns the manifest that an upgrade would apply.
func (h *helm) render(c *chart.Chart, values map[string]any) (string, error) {
	up := h.upgrade()
	up.DryRunStrategy = action.DryRunServer
	r, err := up.Run(h.app, c, values)
	if err != nil {
		return "", fmt.Errorf("render the chart: %w", err)
	}
	rendered, ok := r.(*helmrelease.Release)
	if !ok {
		return "", fmt.Errorf("render the chart: unknown kind of release %T", r)
	}
	return rendered.Manifest, nil
}

// apply installs the chart, or upgrades what is installed, and waits.
//
// Helm is not given ctx: when it is cancelled Helm's action returns while its
// work goes on in the background. Applying takes seconds; the waiting, which
// takes minutes, minds ctx by itself.
func (h *helm) apply(c *chart.Chart, values map[string]any, installed bool, description string, wait await) error {
	h.await, h.doing = wait, description
	if installed {
		up := h.upgrade()
		up.Description = description
		if _, err := up.RunWithContext(context.Background(), h.app, c, values); err != nil {
			return fmt.Errorf("upgrade the release: %w", err)
		}
		return nil
	}
	install := action.NewInstall(h.config)
	install.ReleaseName = h.app
	install.Namespace = h.namespace
	install.Labels = map[string]string{managedBy: manager}
	install.Description = description
	install.ServerSideApply = true
	install.ForceConflicts = true
	install.WaitStrategy = kube.HookOnlyStrategy
	install.Timeout = hookTimeout
	// The API server validates what is applied, and says more when it does.
	install.DisableOpenAPIValidation = true
	if _, err := install.RunWithContext(context.Background(), c, values); err != nil {
		return fmt.Errorf("install the release: %w", err)
	}
	return nil
}

func (h *helm) upgrade() *action.Upgrade {
	up := action.NewUpgrade(h.config)
	up.Namespace = h.namespace
	up.Labels = map[string]string{managedBy: manager}
	up.ResetValues = true
	up.MaxHistory = maxHistory
	up.ServerSideApply = "true"
	// What the chart says holds, also where somebody changed it by hand.
	up.ForceConflicts = true
	up.WaitStrategy = kube.HookOnlyStrategy
	up.Timeout = hookTimeout
	up.DisableOpenAPIValidation = true
	return up
}

// rollback makes a new revision out of an old one, and waits.
func (h *helm) rollback(revision int, description string, wait await) error {
	h.await, h.doing = wait, shorten(description, action.MaxDescriptionLength)
	back := action.NewRollback(h.config)
	back.Version = revision
	back.Description = h.doing
	back.MaxHistory = maxHistory
	back.ServerSideApply = "true"
	back.ForceConflicts = true
	back.WaitStrategy = kube.HookOnlyStrategy
	back.Timeout = hookTimeout
	return back.Run(h.app)
}

// uninstall removes the release with its history. What the chart marks to be
// kept, as volumes, stays.
func (h *helm) uninstall() error {
	un := action.NewUninstall(h.config)
	un.IgnoreNotFound = true
	un.DeletionPropagation = "foreground"
	un.WaitStrategy = kube.StatusWatcherStrategy
	un.Timeout = hookTimeout
	_, err := un.Run(h.app)
	return err
}

// cluster is Helm's client with berth's waiting in the place of Helm's.
type cluster struct {
	kube.Interface
	helm *helm
}

// GetWaiterWithOptions returns Helm's own waiter for hooks and deletions, and
// berth's for the rest.
func (c *cluster) GetWaiterWithOptions(strategy kube.WaitStrategy, options ...kube.WaitOption) (kube.Waiter, error) {
	var usual kube.Waiter
	var err error
	if with, ok := c.Interface.(kube.InterfaceWaitOptions); ok {
		usual, err = with.GetWaiterWithOptions(strategy, options...)
	} else {
		usual, err = c.Interface.GetWaiter(strategy)
	}
	if err != nil {
		return nil, err
	}
	return waiter{usual, c.helm}, nil
}

// Update fills in what original lacks of target. A revision that failed half
// way leaves objects that the next one's original does not name; Helm takes
// them as they are, but only after a warning on the default logger, which no
// setting silences.
func (c *cluster) Update(original, target kube.ResourceList, options ...kube.ClientUpdateOption) (*kube.Result, error) {
	for _, t := range target {
		if original.Get(t) == nil {
			original = append(original, &resource.Info{
				Client: t.Client, Mapping: t.Mapping, Namespace: t.Namespace, Name: t.Name,
				Object: t.Object.DeepCopyObject(),
			})
		}
	}
	return c.Interface.Update(original, target, options...)
}

type waiter struct {
	kube.Waiter
	helm *helm
}

func (w waiter) Wait(resources kube.ResourceList, _ time.Duration) error {
	return w.helm.await(resources)
}

func (w waiter) WaitWithJobs(resources kube.ResourceList, timeout time.Duration) error {
	return w.Wait(resources, timeout)
}

// records is Helm's storage with what berth needs to tell from it later.
type records struct {
	driver.Driver
	helm *helm
}

// Create describes a revision from the beginning, so that one which is under
// way, or was interrupted, says what it is and whose.
func (s records) Create(key string, r releaser.Releaser) error {
	if next, ok := r.(*helmrelease.Release); ok && s.helm.doing != "" {
		next.Info.Description = s.helm.doing
		s.helm.number = next.Version
	}
	return s.Driver.Create(key, r)
}

// Update keeps that description when Helm puts its error in its place.
//
// And it keeps a failed revision failed. Helm marks one as superseded when the
// next one follows it with nothing deployed in between, and nobody could tell
// afterwards which revisions ever served.
func (s records) Update(key string, r releaser.Releaser) error {
	next, ok := r.(*helmrelease.Release)
	if !ok {
		return s.Driver.Update(key, r)
	}
	switch info := next.Info; info.Status {
	case common.StatusFailed:
		if next.Version == s.helm.number && !strings.HasPrefix(info.Description, s.helm.doing) {
			info.Description = s.helm.doing + ": " + info.Description
		}
	case common.StatusSuperseded:
		if found, err := s.Get(key); err == nil {
			if before, ok := found.(*helmrelease.Release); ok && before.Info.Status == common.StatusFailed {
				info.Status = common.StatusFailed
			}
		}
	}
	return s.Driver.Update(key, r)
}

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
