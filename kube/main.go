// Command berth-kube is the Kubernetes that berth runs on this machine: the
// upstream components, CoreDNS, metrics-server, network policies, a volume
// provisioner, a registry and an S3 gateway, linked into one binary so that they
// share their code and are compiled once.
//
// The component is chosen by the first argument or, as in busybox, by the name
// that the binary is called by:
//
//	berth-kube kube-apiserver --etcd-servers=…
//
// It is a module of its own because Kubernetes' dependency tree must not reach
// the berth command.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // CronJobs name time zones; the machine may have no zoneinfo

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"berth/kube/dns"
	"berth/kube/metrics"
	"berth/kube/policies"
	"berth/kube/provisioner"
	"berth/kube/registry"
	"berth/kube/s3gateway"
)

// components maps a name to what runs it. The arguments are in os.Args[1:],
// where every upstream main expects them.
var components = map[string]func() int{
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kube-proxy":              command(proxy.NewProxyCommand),
	"coredns":                 dns.Run,
	"metrics-server":          metrics.Run,
	"network-policies":        command(policies.NewCommand),
	"provisioner":             command(provisioner.NewCommand),
	"registry":                command(registry.NewCommand),
	"s3-gateway":              command(s3gateway.NewCommand),
}

func command(newCommand func() *cobra.Command) func() int {
	return func() int { return cli.Run(newCommand()) }
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, ok := components[name]; !ok && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	run, ok := components[name]
	if !ok {
		names := make([]string, 0, len(components))
		for name := range components {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "berth-kube: no component %q; one of: %s\n", name, strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Exit(run())
}
