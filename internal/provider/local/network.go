package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/template"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rules let pods out with this machine's address, and the cluster's addresses
// be nobody's but this machine's. Linux would answer for them on every
// interface, and forward what comes for a pod. So what comes from elsewhere is
// dropped before anything looks at it: what has no address of the network, and
// what claims one that this machine would not answer by the same way. Answers
// to pods from outside come for this machine's address at that point.
//
// kube-proxy cannot be told to serve no metrics, and asks nobody who he is.
var rules = template.Must(template.New("rules").Parse(`table ip berth
delete table ip berth
table ip berth {
	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		iifname "lo" accept
		ip saddr {{.Network}} fib saddr . iif oif missing drop
		ip saddr != {{.Network}} ip daddr {{.Network}} drop
	}
	chain output {
		type filter hook output priority filter; policy accept;
		oifname "lo" tcp dport {{.RootsAlone}} meta skuid != 0 reject with tcp reset
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {{.Network}} ip daddr != {{.Network}} oifname != "lo" masquerade
	}
}
`))

// ownTables are the nftables tables of berth, of its network policies (which
// kube/policies names) and of its kube-proxy.
var ownTables = []string{"ip berth", policiesTable, "ip kube-proxy", "ip6 kube-proxy"}

const (
	policiesPart  = "network-policies"
	policiesTable = "ip berth-policies"
)

// askNoProxy has this process, and what it starts, reach the cluster's addresses
// without the proxy that the machine may need for all others.
func (n network) askNoProxy() error {
	const name = "NO_PROXY"
	direct := os.Getenv(name)
	if direct == "" {
		direct = os.Getenv("no_proxy") // which counts only without the other
	}
	if direct == "*" || slices.Contains(strings.Split(direct, ","), n.Masked().String()) {
		return nil
	}
	return os.Setenv(name, strings.TrimPrefix(direct+","+n.Masked().String(), ","))
}

// up makes the network. It changes nothing that is right already.
func (n network) up(ctx context.Context, nodes []int) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring up the loopback interface: %w", err)
	}
	addresses := []netip.Addr{n.api(), n.dns()}
	for _, node := range nodes {
		addresses = append(addresses, n.node(node))
	}
	for _, address := range addresses {
		if err := netlink.AddrReplace(lo, loopback(address)); err != nil {
			return fmt.Errorf("add address %s: %w", address, err)
		}
	}
	if err := n.dropAddresses(lo, addresses); err != nil {
		return err
	}
	// Connections from this machine to a service get an address that pods can
	// answer, and a service without endpoints never leaks to the default route.
	if err := netlink.RouteReplace(n.serviceRoute(lo)); err != nil {
		return fmt.Errorf("add route for services: %w", err)
	}
	// A pod's address has a route while the pod is there. Afterwards whatever is
	// still sent to it, by an NGINX that is about to learn, would leave by the
	// default route, for a stranger to answer. So it is refused at once.
	if err := netlink.RouteReplace(n.nowhere()); err != nil {
		return fmt.Errorf("add route for pods that are gone: %w", err)
	}
	if err := n.loadRules(ctx); err != nil {
		return err
	}
	return n.openFirewalls(ctx)
}

// loadRules replaces berth's own table, in one step.
func (n network) loadRules(ctx context.Context) error {
	var text bytes.Buffer
	if err := rules.Execute(&text, map[string]any{"Network": n.Masked(), "RootsAlone": proxyPort}); err != nil {
		return err
	}
	if err := feed(ctx, text.String(), "nft", "-f", "-"); err != nil {
		return fmt.Errorf("load nftables rules: %w", err)
	}
	return nil
}

// down removes what up made, and the tables of kube-proxy.
func (n network) down(ctx context.Context) error {
	var problems []error
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	for _, route := range []*netlink.Route{n.serviceRoute(lo), n.nowhere()} {
		if err := netlink.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) {
			problems = append(problems, fmt.Errorf("remove route %s: %w", route.Dst, err))
		}
	}
	problems = append(problems, n.dropAddresses(lo, nil))
	for _, table := range ownTables {
		// Naming a table makes it where it is missing, so this cannot fail
		// for want of it.
		if err := feed(ctx, "table "+table+"\ndelete table "+table+"\n", "nft", "-f", "-"); err != nil {
			problems = append(problems, fmt.Errorf("remove nftables table %s: %w", table, err))
		}
	}
	problems = append(problems, n.closeFirewalls(ctx))
	return errors.Join(problems...)
}

// dropAddresses removes the machine's and nodes' addresses that are not kept.
func (n network) dropAddresses(lo netlink.Link, keep []netip.Addr) error {
	addresses, err := netlink.AddrList(lo, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	var problems []error
	for _, address := range addresses {
		ip, ok := netip.AddrFromSlice(address.IP.To4())
		if ok && n.machine().Contains(ip) && !slices.Contains(keep, ip) {
			if err := netlink.AddrDel(lo, &address); err != nil {
				problems = append(problems, fmt.Errorf("remove address %s: %w", ip, err))
			}
		}
	}
	return errors.Join(problems...)
}

func (n network) serviceRoute(lo netlink.Link) *netlink.Route {
	return &netlink.Route{
		LinkIndex: lo.Attrs().Index,
		Dst:       ipNet(n.services()),
		Src:       n.api().AsSlice(),
		Scope:     netlink.SCOPE_LINK,
	}
}

// nowhere refuses what goes to addresses of the cluster that nobody has.
func (n network) nowhere() *netlink.Route {
	return &netlink.Route{Dst: ipNet(n.cluster()), Type: unix.RTN_UNREACHABLE}
}

func loopback(address netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(address, 32)), Scope: int(netlink.SCOPE_HOST)}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
