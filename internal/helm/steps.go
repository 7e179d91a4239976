package helm

import (
	engine "helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/resource"
)

// Steps splits the applying of a revision, so that some of its objects are
// there before the others, and some change only once the others serve. Nothing
// is removed before that either. Without Steps, Helm applies all at once.
type Steps struct {
	// Of says in which step an object is applied.
	Of func(*resource.Info) Step
	// Between is called after the first step, with its objects and those apart,
	// and with the number of the revision. When it fails, nothing more is
	// applied. Nil does nothing.
	Between func(first, apart engine.ResourceList, revision int) error
}

// Step is when an object is applied.
type Step int

const (
	// First is before [Steps].Between.
	First Step = iota
	// Main is after it, and before the Await.
	Main
	// Last is after the Await.
	Last
	// Apart is never: Helm only records and removes the object. It is what
	// Between makes.
	Apart
)

// of returns the objects of one step.
func (s *Steps) of(step Step, all engine.ResourceList) engine.ResourceList {
	return all.Filter(func(info *resource.Info) bool { return s.Of(info) == step })
}

// run applies the first two steps, and returns how to apply the last.
func (s *Steps) run(revision int, target engine.ResourceList, apply func(part engine.ResourceList) error) error {
	first := s.of(First, target)
	if err := apply(first); err != nil {
		return err
	}
	if s.Between != nil {
		if err := s.Between(first, s.of(Apart, target), revision); err != nil {
			return err
		}
	}
	return apply(s.of(Main, target))
}

// Create makes the objects of a new release, in steps when there are any.
func (c *cluster) Create(target engine.ResourceList, options ...engine.ClientCreateOption) (*engine.Result, error) {
	steps := c.release.steps
	if steps == nil {
		return c.Interface.Create(target, options...)
	}
	all := &engine.Result{}
	create := func(part engine.ResourceList) error {
		if len(part) == 0 {
			return nil
		}
		made, err := c.Interface.Create(part, options...)
		add(all, made)
		return err
	}
	c.release.last = func() error { return create(steps.of(Last, target)) }
	return all, steps.run(c.release.number, target, create)
}

// Update changes the objects of a release, in steps when there are any, and
// fills in what original does not have of target. A revision that failed half way
// leaves objects that the next one's original does not name; Helm takes them as
// they are, but only after a warning on the default logger, which no setting
// silences.
func (c *cluster) Update(original, target engine.ResourceList, options ...engine.ClientUpdateOption) (*engine.Result, error) {
	for _, t := range target {
		if original.Get(t) == nil {
			original = append(original, &resource.Info{
				Client: t.Client, Mapping: t.Mapping, Namespace: t.Namespace, Name: t.Name,
				Object: t.Object.DeepCopyObject(),
			})
		}
	}
	steps := c.release.steps
	if steps == nil {
		return c.Interface.Update(original, target, options...)
	}
	all := &engine.Result{}
	update := func(before, part engine.ResourceList) error {
		if len(before) == 0 && len(part) == 0 {
			return nil
		}
		made, err := c.Interface.Update(before, part, options...)
		add(all, made)
		return err
	}
	c.release.last = func() error {
		last := steps.of(Last, target)
		return update(append(original.Difference(target), original.Intersect(last)...), last)
	}
	return all, steps.run(c.release.number, target, func(part engine.ResourceList) error {
		return update(original.Intersect(part), part)
	})
}

func add(all, more *engine.Result) {
	if more != nil {
		all.Created = append(all.Created, more.Created...)
		all.Updated = append(all.Updated, more.Updated...)
		all.Deleted = append(all.Deleted, more.Deleted...)
	}
}
