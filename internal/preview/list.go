package preview

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/progress"
)

// Of returns what the preview of a branch is called, whether or not it is there.
func (c *Client) Of(branch string) Preview {
	prefix := c.config.Name + "-preview-"
	name := label(branch, validation.DNS1123LabelMaxLength-len(prefix))
	return Preview{Branch: branch, Environment: prefix + name, Host: c.config.PreviewHost(name)}
}

// List returns the previews that are there, the oldest first.
func (c *Client) List(ctx context.Context) ([]Preview, error) {
	found, err := c.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: own.ManagedBy + "=" + own.Manager + "," + ofLabel + "=" + c.config.Name})
	if err != nil {
		return nil, fmt.Errorf("look for previews: %w", err)
	}
	var all []Preview
	for _, namespace := range found.Items {
		all = append(all, read(&namespace))
	}
	slices.SortFunc(all, func(a, b Preview) int {
		return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.Environment, b.Environment))
	})
	return all, nil
}

// Find returns the preview of a branch, or the one of an environment's name; nil where
// there is none.
func (c *Client) Find(ctx context.Context, name string) (*Preview, error) {
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if !p.Going && (p.Branch == name || p.Environment == name) {
			return &p, nil
		}
	}
	return nil, nil
}

// Admit returns an error where a preview of a branch would be one too many.
func (c *Client) Admit(ctx context.Context, branch string) error {
	all, err := c.List(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(p Preview) bool { return p.Going })
	// Of several that are made at once, the older ones are admitted.
	before := slices.IndexFunc(all, func(p Preview) bool { return p.Branch == branch })
	if before < 0 {
		before = len(all)
	}
	if before < c.config.Previews.Limit {
		return nil
	}
	oldest := all[0]
	return fault.WithHint(fmt.Errorf("there are %d previews already, as many as previews.limit allows; the oldest is that of %s, made %s", before, oldest.Branch, oldest.Made.UTC().Format(time.RFC3339)),
		"berth preview remove %s", oldest.Branch)
}

// read reads a preview from its namespace.
func read(n *core.Namespace) Preview {
	expires, _ := time.Parse(time.RFC3339, n.Annotations[own.ExpiresAnnotation]) // never, where it says nothing
	return Preview{
		Branch: n.Annotations[branchAnnotation], Environment: n.Name, Host: n.Annotations[hostAnnotation], Commit: n.Labels[commitLabel],
		Who: n.Annotations[holderAnnotation], Made: n.CreationTimestamp.Time, Expires: expires, Data: n.Annotations[dataAnnotation],
		Going: n.DeletionTimestamp != nil, uid: n.UID, mask: n.Annotations[maskAnnotation],
	}
}

// Remove removes a preview with all that is in it.
func (c *Client) Remove(ctx context.Context, p *Preview, r progress.Reporter) error {
	ctx, cancel := context.WithTimeoutCause(ctx, going, fmt.Errorf("namespace %s is not gone within %s", p.Environment, going))
	defer cancel()
	return c.remove(ctx, p, r)
}

func (c *Client) remove(ctx context.Context, p *Preview, r progress.Reporter) error {
	return progress.Run(r, "Remove the preview of "+p.Branch, func(progress.Step) error {
		return kube.RemoveNamespace(ctx, c.kube, p.Environment, p.uid)
	})
}
