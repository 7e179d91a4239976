// Package policies enforces NetworkPolicies on this machine, by nftables.
//
// All nodes of a local cluster share the machine's network, so one process does
// it for all: whatever a pod sends to another, or out, is forwarded here. The
// rules are rendered again with each change of a pod, a namespace or a policy,
// and replaced in one step. They stay when the process ends.
//
// sigs.k8s.io/kube-network-policies does the same with packets queued to user
// space, for which not every kernel is built.
package policies

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// settle is how long changes are collected: a rollout's come in bursts.
	settle = 50 * time.Millisecond
	// retry is how long to wait after rules were refused.
	retry = 2 * time.Second
)

// NewCommand returns the command that enforces policies until it is stopped.
func NewCommand() *cobra.Command {
	var kubeconfig string
	command := &cobra.Command{
		Use:          "network-policies",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("read kubeconfig: %w", err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("make client: %w", err)
			}
			return enforce(command.Context(), client, load)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	return command
}

// enforce keeps the rules as the cluster says until ctx ends. Until it knows
// the cluster it leaves those that are there.
func enforce(ctx context.Context, client kubernetes.Interface, load func(ctx context.Context, rules string) error) error {
	changed := make(chan struct{}, 1)
	notice := func() {
		select {
		case changed <- struct{}{}:
		default: // one is waiting to be looked at
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { notice() }, UpdateFunc: func(any, any) { notice() }, DeleteFunc: func(any) { notice() },
		}); err != nil {
			return fmt.Errorf("follow the cluster: %w", err)
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	last := ""
	for {
		var s state
		var err error
		if s.pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return fmt.Errorf("list pods: %w", err)
		}
		if s.policies, err = policies.Lister().List(labels.Everything()); err != nil {
			return fmt.Errorf("list policies: %w", err)
		}
		all, err := namespaces.Lister().List(labels.Everything())
		if err != nil {
			return fmt.Errorf("list namespaces: %w", err)
		}
		s.namespaces = labelsOf(all)
		pause := settle
		if rules := render(s); rules != last && ctx.Err() == nil {
			if err := load(ctx, rules); err != nil {
				klog.ErrorS(err, "The rules were refused; those before stay")
				pause = retry
				notice()
			} else {
				last = rules
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func labelsOf(namespaces []*core.Namespace) map[string]labels.Set {
	all := make(map[string]labels.Set, len(namespaces))
	for _, namespace := range namespaces {
		all[namespace.Name] = namespace.Labels
	}
	return all
}

// load replaces the table in one step.
func load(ctx context.Context, rules string) error {
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}
