package helm

import (
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/resource"
)

// cluster is Helm's client with berth's waiting in the place of Helm's.
type cluster struct {
	engine.Interface
	release *Release
}

// GetWaiterWithOptions returns Helm's own waiter for hooks and deletions, and
// berth's for the rest.
func (c *cluster) GetWaiterWithOptions(strategy engine.WaitStrategy, options ...engine.WaitOption) (engine.Waiter, error) {
	var usual engine.Waiter
	var err error
	if with, ok := c.Interface.(engine.InterfaceWaitOptions); ok {
		usual, err = with.GetWaiterWithOptions(strategy, options...)
	} else {
		usual, err = c.Interface.GetWaiter(strategy)
	}
	if err != nil {
		return nil, err
	}
	return waiter{usual, c.release}, nil
}

// Update fills in what original lacks of target. A revision that failed half
// way leaves objects that the next one's original does not name; Helm takes
// them as they are, but only after a warning on the default logger, which no
// setting silences.
func (c *cluster) Update(original, target engine.ResourceList, options ...engine.ClientUpdateOption) (*engine.Result, error) {
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
	engine.Waiter
	release *Release
}

func (w waiter) Wait(resources engine.ResourceList, timeout time.Duration) error {
	if w.release.await == nil {
		return w.Waiter.Wait(resources, timeout)
	}
	return w.release.await(resources)
}

func (w waiter) WaitWithJobs(resources engine.ResourceList, timeout time.Duration) error {
	return w.Wait(resources, timeout)
}
