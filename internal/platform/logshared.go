package platform

import (
	"context"
	"fmt"
	"maps"
	"slices"

	engine "helm.sh/helm/v4/pkg/kube"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/helm"
	"berth/internal/kube"
	"berth/internal/progress"
)

// A cluster has one log agent, and may have several applications. The agent's
// release says which namespaces it reads; each application adds its own
// environments, and takes them away again.

// Follow has the agent, if there is one, read an environment that it does not
// read yet: one of an application that came later.
func (l *Logs) Follow(ctx context.Context, environment string, r progress.Reporter) error {
	if len(l.config.LogSinks()) == 0 {
		return nil
	}
	_, present, err := l.release()
	if err != nil || present == nil || slices.Contains(read(present), environment) {
		return err
	}
	return progress.Run(r, "Collect the logs of "+environment, func(step progress.Step) error {
		return alone(ctx, l.client, logsNamespace, step, func(ctx context.Context) error {
			past, present, err := l.release() // as it is now: another may have changed it
			if err != nil || present == nil {
				return err
			}
			return l.reads(ctx, past, union(read(present), []string{environment}))
		})
	})
}

// Remove takes the agent away, if there is one; where it reads other
// applications' logs, too, it goes on with those. What is in the bucket stays.
func (l *Logs) Remove(ctx context.Context, r progress.Reporter) error {
	if there, err := l.installed(ctx); err != nil || !there {
		return err
	}
	if _, present, err := l.release(); err != nil || !l.concerns(present) {
		return err
	}
	return progress.Run(r, "Remove the log agent", func(step progress.Step) error {
		gone := false
		err := alone(ctx, l.client, logsNamespace, step, func(ctx context.Context) error {
			past, present, err := l.release()
			if err != nil {
				return err
			}
			others, err := l.others(ctx, present)
			if err != nil {
				return err
			}
			if len(others) == 0 {
				gone = true
				return uninstall(l.cluster, logsNamespace, agent)
			}
			if len(others) < len(read(present)) {
				err = l.reads(ctx, past, others)
			}
			step.Detail(fmt.Sprintf("it stays for %v", others))
			return err
		})
		if err != nil || !gone {
			return err
		}
		return kube.DeleteNamespace(ctx, l.client, logsNamespace)
	})
}

func (l *Logs) installed(ctx context.Context) (bool, error) {
	sets, err := l.client.AppsV1().DaemonSets(logsNamespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + agent})
	if err != nil {
		return false, fmt.Errorf("look for the log agent: %w", err)
	}
	return len(sets.Items) > 0, nil
}

// concerns reports whether the agent reads an environment of this application's.
// One that was never installed to its end may have been to.
func (l *Logs) concerns(present *helmrelease.Release) bool {
	return present == nil || slices.ContainsFunc(read(present), func(name string) bool {
		_, mine := l.config.Environments[name]
		return mine
	})
}

// release returns the revisions of the agent's release, and the last, or nil.
func (l *Logs) release() (past []*helmrelease.Release, present *helmrelease.Release, err error) {
	h, err := helm.Open(l.cluster.REST, logsNamespace, agent)
	if err != nil {
		return nil, nil, err
	}
	if past, err = h.History(); err != nil || len(past) == 0 {
		return nil, nil, err
	}
	return past, past[len(past)-1], nil
}

// read are the namespaces that a release of the agent reads.
func read(present *helmrelease.Release) []string {
	var names []string
	listed, _ := present.Config["namespaces"].([]any)
	for _, name := range listed {
		if name, ok := name.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// reads changes the namespaces of the agent, and nothing else. Agents start again
// one after the other, each where it was; nobody has to wait for that.
func (l *Logs) reads(ctx context.Context, past []*helmrelease.Release, namespaces []string) error {
	h, err := helm.Open(l.cluster.REST, logsNamespace, agent)
	if err != nil {
		return err
	}
	present := past[len(past)-1]
	values := maps.Clone(present.Config)
	values["namespaces"] = namespaces
	if err := h.Recover(past); err != nil {
		return err
	}
	if err := h.Apply(ctx, present.Chart, stored(values), true, helm.Change{
		Await: func(engine.ResourceList) error { return nil }, Timeout: readyTimeout, MaxHistory: 5,
	}); err != nil {
		return fmt.Errorf("change which logs the agent reads: %w", err)
	}
	return nil
}

// others are the namespaces that the agent reads for other applications: those of
// no environment here that are still there, and those of environments here that
// another application has a release in.
func (l *Logs) others(ctx context.Context, present *helmrelease.Release) ([]string, error) {
	if present == nil {
		return nil, nil
	}
	var others []string
	for _, name := range read(present) {
		needed, err := l.isOthers(ctx, name)
		if err != nil {
			return nil, err
		}
		if needed {
			others = append(others, name)
		}
	}
	return others, nil
}

func (l *Logs) isOthers(ctx context.Context, name string) (bool, error) {
	namespace, err := l.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && namespace.DeletionTimestamp != nil {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for namespace %s: %w", name, err)
	}
	if _, mine := l.config.Environments[name]; !mine {
		return true, nil
	}
	releases, err := l.client.CoreV1().Secrets(name).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		return false, fmt.Errorf("look for other applications in %s: %w", name, err)
	}
	for _, release := range releases.Items {
		if of := release.Labels["name"]; of != l.config.Name && of != backupRelease(l.config.Name) {
			return true, nil
		}
	}
	return false, nil
}

func union(some, more []string) []string {
	all := slices.Concat(some, more)
	slices.Sort(all)
	return slices.Compact(all)
}
