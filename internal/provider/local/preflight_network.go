package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"berth/internal/provider"
)

// checkFirewall finds the firewalls that only their owner can open.
func (p *Provider) checkFirewall(ctx context.Context) provider.Check {
	c := provider.Check{Name: "firewall"}
	if os.Geteuid() != 0 {
		return c // nobody else may look
	}
	var found *ruleset
	err := probeTables()
	if _, missing := exec.LookPath("nft"); err == nil && missing == nil {
		found, err = readRuleset(ctx)
	} else if err == nil {
		return c // it comes as a package
	}
	if err != nil {
		c.Problem = err.Error()
		c.Remedy = "boot a kernel with nftables (nf_tables): Debian's and Ubuntu's have it; after a kernel upgrade, reboot to get its modules"
		if errors.Is(err, unix.EPERM) || strings.Contains(err.Error(), "Operation not permitted") {
			c.Remedy = "run berth where root may change the network: in a container that takes the capability CAP_NET_ADMIN"
		}
		return c
	}
	pods := p.network.cluster().String()
	if exec.CommandContext(ctx, "firewall-cmd", "--quiet", "--state").Run() == nil &&
		exec.CommandContext(ctx, "firewall-cmd", "--quiet", "--get-zone-of-source="+pods).Run() != nil {
		c.Problem = "firewalld lets pods reach neither each other nor this machine"
		c.Remedy = fmt.Sprintf("sudo firewall-cmd --permanent --zone=trusted --add-source=%s && sudo firewall-cmd --reload", pods)
		return c
	}
	for _, base := range found.dropping() {
		if !found.owned[base.table()] || base.Table == firewalldTable {
			continue
		}
		var lines []string
		matches, _ := p.network.accepts(base.Hook)
		for _, match := range matches {
			lines = append(lines, match+" accept")
		}
		c.Problem = fmt.Sprintf("the nftables table %s drops what pods send, and only the program that made it may change it", base.table())
		c.Remedy = fmt.Sprintf("let that program put at the head of its chain %s: %s", base.Name, strings.Join(lines, "; "))
	}
	return c
}

// probeTables asks the kernel for nftables, without its program: the kernel loads the
// module for it.
func probeTables() error {
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddRawData([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0})
	if _, err := request.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
		return fmt.Errorf("ask the kernel for nftables: %w", err)
	}
	return nil
}

func (p *Provider) checkNetwork() provider.Check {
	c := provider.Check{Name: "network " + p.network.String()}
	taken, err := p.network.overlap()
	if err == nil && taken == "" {
		taken, err = p.network.addressIn()
	}
	if err != nil {
		c.Problem = err.Error()
	} else if taken != "" {
		c.Problem = "in use: " + taken
		c.Remedy = "name another private /16 in berth.yaml: local.network"
	}
	return c
}

// overlap returns what on this machine uses addresses of the network already,
// or "".
func (n network) overlap() (string, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return "", fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		address, _ := netip.AddrFromSlice(route.Dst.IP.To4())
		bits, _ := route.Dst.Mask.Size()
		// A wider route, a default route in two halves say, is no one's claim
		// to these addresses.
		if bits >= n.Bits() && n.Contains(address) {
			name := fmt.Sprintf("interface %d", route.LinkIndex)
			if link, err := netlink.LinkByIndex(route.LinkIndex); err == nil {
				name = link.Attrs().Name
			}
			return fmt.Sprintf("%s by %s", route.Dst, name), nil
		}
	}
	return "", nil
}

// addressIn returns an address of this machine in the network, and who has it.
func (n network) addressIn() (string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	for _, one := range interfaces {
		addresses, err := one.Addrs()
		if err != nil {
			return "", fmt.Errorf("list addresses of %s: %w", one.Name, err)
		}
		for _, address := range addresses {
			if prefix, err := netip.ParsePrefix(address.String()); err == nil && n.Contains(prefix.Addr()) {
				return fmt.Sprintf("%s by %s", prefix.Addr(), one.Name), nil
			}
		}
	}
	return "", nil
}
