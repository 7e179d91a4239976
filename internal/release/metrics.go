package release

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/traffic"
)

// ByRevision sums up by revisions what pods have answered within a time, by their
// names: the newest first, and last, as revision 0, pods of whose revision nothing is
// known any more. Pods of the present template are the newest revision's, others those
// of the revision that they were made for.
func (c *Client) ByRevision(ctx context.Context, environment string, pods map[string]traffic.Endpoint, during time.Duration) ([]Requests, error) {
	if _, err := c.environment(environment); err != nil {
		return nil, err
	}
	revisionOf, err := c.revisionsOfPods(ctx, environment)
	if err != nil {
		return nil, err
	}
	sides := map[int]*side{}
	for name, answered := range pods {
		if answered.Requests() == 0 {
			continue // it answered before
		}
		revision := revisionOf(name)
		if sides[revision] == nil {
			sides[revision] = &side{revision: revision}
		}
		s := sides[revision]
		s.pods++
		s.answered.sum = s.answered.sum.Add(answered)
	}
	all := []Requests{}
	for _, revision := range slices.Backward(slices.Sorted(maps.Keys(sides))) {
		all = append(all, sides[revision].requests(during))
	}
	return all, nil
}

// revisionsOfPods returns what knows the revision of a pod of the web by its name,
// also of one that has gone.
func (c *Client) revisionsOfPods(ctx context.Context, environment string) (func(pod string) int, error) {
	web, err := c.kube.AppsV1().Deployments(environment).Get(ctx, c.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, notDeployed(environment)
	}
	if err != nil {
		return nil, fmt.Errorf("read Deployment %s: %w", c.config.Name, err)
	}
	sets, err := c.kube.AppsV1().ReplicaSets(environment).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list ReplicaSets: %w", err)
	}
	// Helm's own. When they were made the API server says, as with ReplicaSets, so
	// that no two clocks are compared.
	records, err := c.kube.CoreV1().Secrets(environment).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + c.config.Name})
	if err != nil {
		return nil, fmt.Errorf("list revisions: %w", err)
	}
	of := revisionsOfSets(web, sets.Items, records.Items)
	return func(pod string) int { return of[pod[:max(0, strings.LastIndexByte(pod, '-'))]] }, nil
}

// deploymentRevision is Kubernetes' own count of a Deployment's templates.
const deploymentRevision = "deployment.kubernetes.io/revision"

// revisionsOfSets returns the revision of each ReplicaSet of a Deployment by its name.
func revisionsOfSets(web *apps.Deployment, sets []apps.ReplicaSet, records []core.Secret) map[string]int {
	type made struct {
		revision int
		at       time.Time
	}
	var revisions []made
	for _, record := range records {
		if n, err := strconv.Atoi(record.Labels["version"]); err == nil {
			revisions = append(revisions, made{n, record.CreationTimestamp.Time})
		}
	}
	slices.SortFunc(revisions, func(a, b made) int { return cmp.Compare(a.revision, b.revision) })
	of := map[string]int{}
	for _, set := range sets {
		if owner := metav1.GetControllerOf(&set); owner == nil || owner.UID != web.UID {
			continue
		}
		for _, r := range revisions {
			present := set.Annotations[deploymentRevision] == web.Annotations[deploymentRevision]
			if present || !r.at.After(set.CreationTimestamp.Time) {
				of[set.Name] = r.revision
			}
		}
	}
	return of
}
