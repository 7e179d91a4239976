package local

import (
	"context"
	"fmt"
	"strings"
)

// A packet passes a machine's firewall when every chain at its hook lets it: an
// accept in a table of berth's own does not help where another's drops. So what
// the cluster needs is let in there, at the head of each chain that may drop it,
// under a comment by which it is found again and taken back. Rules that came by
// iptables are changed by iptables, which reads no others; firewalld keeps its
// table to itself and is asked for the line that opens it.

// openedComment marks berth's rules in tables of nftables that are somebody
// else's, iptablesComment those in iptables' chains.
const (
	openedComment   = "opened by berth"
	iptablesComment = "berth"
)

// letIn are the ports of the machine's and nodes' addresses that pods may ask
// for: those of DNS, the API server, the bucket, kubelets, the ingress' metrics and
// the registry.
var letIn = []int{dnsPort, apiPort, bucketPort, kubeletPort, ingressStatus, registryPort}

var hooks = []string{"input", "forward", "output"}

// openFirewalls lets the cluster's traffic pass in the chains that may drop it.
func (n network) openFirewalls(ctx context.Context) error {
	chains, err := iptablesChains(ctx)
	if err != nil {
		return err
	}
	for _, hook := range hooks {
		if !chains.drops(strings.ToUpper(hook)) {
			continue
		}
		_, rules := n.accepts(hook)
		for _, rule := range rules {
			if iptables(ctx, "-C", hook, rule) == nil {
				continue
			}
			if err := iptables(ctx, "-I", hook, rule); err != nil {
				return fmt.Errorf("let the cluster pass the firewall: %w", err)
			}
		}
	}
	found, err := readRuleset(ctx)
	if err != nil {
		return err
	}
	shut := found.shut()
	if n.opens(found.ours, shut) {
		return nil
	}
	batch := found.opened()
	for _, base := range shut {
		matches, _ := n.accepts(base.Hook)
		for _, match := range matches {
			batch += fmt.Sprintf("insert rule %s %s %s %s accept comment %q\n", base.Family, base.Table, base.Name, match, openedComment)
		}
	}
	if err := feed(ctx, batch, "nft", "-f", "-"); err != nil {
		return fmt.Errorf("let the cluster pass the firewall: %w", err)
	}
	return nil
}

// opens reports whether berth's rules in tables of others are what these chains
// need, no more and no less.
func (n network) opens(ours []rule, shut []base) bool {
	missing := 0
	there := map[base]int{}
	for _, rule := range ours {
		there[base{Family: rule.Family, Table: rule.Table, Name: rule.Chain}]++
	}
	for _, b := range shut {
		matches, _ := n.accepts(b.Hook)
		key := base{Family: b.Family, Table: b.Table, Name: b.Name}
		if there[key] != len(matches) {
			missing++
		}
		delete(there, key)
	}
	return missing == 0 && len(there) == 0
}

// closeFirewalls takes back what openFirewalls did, in whatever chains it is.
func (n network) closeFirewalls(ctx context.Context) error {
	chains, err := iptablesChains(ctx)
	if err != nil {
		return err
	}
	for _, hook := range hooks {
		if !chains.ours(strings.ToUpper(hook)) {
			continue
		}
		_, rules := n.accepts(hook)
		for _, rule := range rules {
			for iptables(ctx, "-D", hook, rule) == nil {
			}
		}
	}
	found, err := readRuleset(ctx)
	if err != nil {
		return err
	}
	if batch := found.opened(); batch != "" {
		if err := feed(ctx, batch, "nft", "-f", "-"); err != nil {
			return fmt.Errorf("take back what the firewall let pass: %w", err)
		}
	}
	return nil
}

// accepts are the matches of what passes at a hook, for nftables and for iptables.
func (n network) accepts(hook string) (nft []string, iptables [][]string) {
	whole, pods, machine := n.Masked().String(), n.cluster().String(), n.machine().String()
	ports := strings.Trim(strings.ReplaceAll(fmt.Sprint(letIn), " ", ","), "[]")
	switch hook {
	case "input":
		return []string{
				fmt.Sprintf("ip saddr %s ip daddr %s tcp dport { %s }", pods, machine, ports),
				fmt.Sprintf("ip saddr %s ip daddr %s udp dport %d", pods, machine, dnsPort),
			}, [][]string{
				{"-s", pods, "-d", machine, "-p", "tcp", "-m", "multiport", "--dports", ports},
				{"-s", pods, "-d", machine, "-p", "udp", "-m", "udp", "--dport", fmt.Sprint(dnsPort)},
			}
	case "forward":
		return []string{"ip saddr " + whole, "ip daddr " + whole}, [][]string{{"-s", whole}, {"-d", whole}}
	case "output":
		return []string{"ip daddr " + whole}, [][]string{{"-d", whole}}
	}
	return nil, nil
}

func iptables(ctx context.Context, action, hook string, rule []string) error {
	arguments := append([]string{"-w", action, strings.ToUpper(hook)}, rule...)
	return run(ctx, "iptables", append(arguments, "-m", "comment", "--comment", iptablesComment, "-j", "ACCEPT")...)
}
