package helm

import (
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
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

type waiter struct {
	engine.Waiter
	release *Release
}

func (w waiter) Wait(resources engine.ResourceList, timeout time.Duration) error {
	if w.release.await == nil {
		return w.Waiter.Wait(resources, timeout)
	}
	if err := w.release.await(resources); err != nil || w.release.last == nil {
		return err
	}
	return w.release.last()
}

func (w waiter) WaitWithJobs(resources engine.ResourceList, timeout time.Duration) error {
	return w.Wait(resources, timeout)
}
