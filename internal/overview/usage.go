package overview

import (
	"context"

	"golang.org/x/sync/errgroup"

	"berth/internal/kube"
)

// used is what pods use, by their namespaces, and what nodes do below "".
type used map[string]map[string]kube.Usage

// usage reads what the pods of namespaces use; nodes are the namespace "". Nothing
// depends on it: where a cluster does not measure, or does not tell this user, there
// is none.
func (l *Looker) usage(ctx context.Context, namespaces ...string) used {
	client, err := kube.Connect(l.Cluster.REST)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := make([]map[string]kube.Usage, len(namespaces))
	var group errgroup.Group
	for i, namespace := range namespaces {
		group.Go(func() (err error) {
			if namespace == "" {
				found[i], err = kube.NodeUsage(ctx, client)
			} else {
				found[i], err = kube.PodUsage(ctx, client, namespace)
			}
			return err
		})
	}
	group.Wait() //nolint:errcheck // what cannot be read is left out
	all := used{}
	for i, namespace := range namespaces {
		all[namespace] = found[i]
	}
	return all
}

// nodes and environment put what is used to what uses it.
func (u used) nodes(nodes []Node) {
	for i := range nodes {
		if usage, ok := u[""][nodes[i].Name]; ok {
			nodes[i].Usage = &usage
		}
	}
}

func (u used) environment(e Environment) {
	for i := range e.Pods {
		if usage, ok := u[e.Environment][e.Pods[i].Name]; ok {
			e.Pods[i].Usage = &usage
		}
	}
}

// Usage is the sum of all pods of an environment; nil if nothing is measured.
func (e Environment) Usage() *kube.Usage {
	var sum *kube.Usage
	for _, pod := range e.Pods {
		if pod.Usage == nil {
			continue
		}
		if sum == nil {
			sum = new(kube.Usage)
		}
		*sum = sum.Add(*pod.Usage)
	}
	return sum
}
