package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
)

// Remove removes an environment WITH ITS DATA: the release, its Secrets, its
// volumes, and the namespace if berth made it. From a namespace that was there
// before, it removes only what belongs to the application. The caller has to ask
// first and to make a last backup.
func (c *Client) Remove(ctx context.Context, environment string, r progress.Reporter) error {
	if _, err := c.environment(environment); err != nil {
		return err
	}
	namespaces := c.kube.CoreV1().Namespaces()
	namespace, err := namespaces.Get(ctx, environment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for namespace %s: %w", environment, err)
	}
	return progress.Run(r, "Remove "+environment, func(step progress.Step) error {
		if namespace.DeletionTimestamp == nil {
			err := c.lock(environment).Do(ctx, func(ctx, _ context.Context) error {
				return c.removeRelease(ctx, environment, step)
			})
			if err != nil {
				return err
			}
		}
		if !own.Owned(namespace) {
			return nil
		}
		others, err := c.otherReleases(ctx, environment)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			r.Note(fmt.Sprintf("namespace %s stays, because it has %s too", environment, strings.Join(others, ", ")))
			return nil
		}
		step.Detail("deleting the namespace")
		err = namespaces.Delete(ctx, environment, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(namespace.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete namespace %s: %w", environment, err)
		}
		err = poll.Until(ctx, c.timeouts.poll, func(ctx context.Context) (bool, error) {
			now, err := namespaces.Get(ctx, environment, metav1.GetOptions{})
			return apierrors.IsNotFound(err) || err == nil && now.UID != namespace.UID, nil
		})
		if err != nil {
			return fmt.Errorf("wait for namespace %s to go: %w", environment, err)
		}
		return nil
	})
}

// removeRelease uninstalls the release and deletes what it leaves: its volumes,
// which the chart keeps, and the Secrets, which are not the chart's.
func (c *Client) removeRelease(ctx context.Context, environment string, step progress.Step) error {
	h, err := c.release(environment)
	if err != nil {
		return err
	}
	past, err := h.History()
	if err != nil {
		return err
	}
	if err := h.Own(past); err != nil {
		return err
	}
	if len(past) > 0 {
		step.Detail("uninstalling the release")
		if err := h.Uninstall(hookTimeout); err != nil {
			return err
		}
	}
	step.Detail("deleting volumes and secrets")
	instance := "app.kubernetes.io/instance=" + c.config.Name
	err = c.kube.CoreV1().PersistentVolumeClaims(environment).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: instance})
	if err != nil {
		return fmt.Errorf("delete the volumes of %s: %w", environment, err)
	}
	err = c.kube.CoreV1().Secrets(environment).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: instance + "," + own.ManagedBy + "=" + own.Manager})
	if err != nil {
		return fmt.Errorf("delete the secrets of %s: %w", environment, err)
	}
	return nil
}

// otherReleases names the Helm releases in a namespace besides the application.
func (c *Client) otherReleases(ctx context.Context, namespace string) ([]string, error) {
	found, err := c.kube.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		return nil, fmt.Errorf("look for other releases in %s: %w", namespace, err)
	}
	var names []string
	for _, secret := range found.Items {
		if name := secret.Labels["name"]; name != c.config.Name && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
