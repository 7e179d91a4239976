package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/provider"
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

const firewalldTable = "firewalld"

// chains are those of one table, by name.
type chains map[string]*chain

type chain struct {
	closed bool     // by its policy or a rule
	ours   bool     // there are rules of berth's
	next   []string // where its rules jump to
}

func (c chains) at(name string) *chain {
	if c[name] == nil {
		c[name] = &chain{}
	}
	return c[name]
}

// drops reports whether a packet that enters a chain may be dropped.
func (c chains) drops(name string) bool {
	seen := map[string]bool{}
	var visit func(string) bool
	visit = func(name string) bool {
		if seen[name] || c[name] == nil {
			return false
		}
		seen[name] = true
		return c[name].closed || slices.ContainsFunc(c[name].next, visit)
	}
	return visit(name)
}

// ours reports whether a chain has rules of berth's.
func (c chains) ours(name string) bool { return c[name] != nil && c[name].ours }

func iptables(ctx context.Context, action, hook string, rule []string) error {
	arguments := append([]string{"-w", action, strings.ToUpper(hook)}, rule...)
	return run(ctx, "iptables", append(arguments, "-m", "comment", "--comment", iptablesComment, "-j", "ACCEPT")...)
}

var iptablesOurs = regexp.MustCompile(`--comment "?` + iptablesComment + `"? `)

// iptablesChains are the chains of iptables' filter table, none where there is
// no iptables.
func iptablesChains(ctx context.Context) (chains, error) {
	found := chains{}
	if _, err := exec.LookPath("iptables"); err != nil {
		return found, nil
	}
	output, err := exec.CommandContext(ctx, "iptables", "-w", "-S").Output()
	if err != nil {
		// A kernel without iptables, or rules that iptables cannot read: those
		// are nftables' own, which are looked at there.
		return found, ctx.Err()
	}
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "-P" && fields[0] != "-A" {
			continue
		}
		c := found.at(fields[1])
		if fields[0] == "-P" {
			c.closed = fields[2] == "DROP"
			continue
		}
		c.ours = c.ours || iptablesOurs.MatchString(line)
		for i, field := range fields[:len(fields)-1] {
			if field != "-j" && field != "-g" {
				continue
			}
			switch target := fields[i+1]; target {
			case "DROP", "REJECT":
				c.closed = true
			default:
				c.next = append(c.next, target)
			}
		}
	}
	return found, nil
}

// ruleset is what of nftables' rules matters here.
type ruleset struct {
	bases  []base
	tables map[string]chains
	owned  map[string]bool // tables that only a running program may change
	ours   []rule
}

// base is a chain that the kernel calls at a hook.
type base struct{ Family, Table, Name, Type, Hook, Policy string }

func (b base) table() string { return b.Family + " " + b.Table }

type rule struct {
	Family, Table, Chain, Comment string
	Handle                        int
	Expr                          json.RawMessage
}

// readRuleset reads the rules, as libnftables-json(5) describes them. Elements
// of sets are left out: there may be a hundred thousand.
func readRuleset(ctx context.Context) (*ruleset, error) {
	var messages bytes.Buffer
	command := exec.CommandContext(ctx, "nft", "--json", "--terse", "list", "ruleset")
	command.Stderr = &messages
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("read this machine's nftables: %w: %s", err, lastLines(messages.String(), 1))
	}
	var listed struct {
		Nftables []struct {
			Table *struct {
				Family, Name string
				Flags        json.RawMessage
			}
			Chain *base
			Rule  *rule
		}
	}
	if err := json.Unmarshal(output, &listed); err != nil {
		return nil, fmt.Errorf("read this machine's nftables: %w", err)
	}
	found := &ruleset{tables: map[string]chains{}, owned: map[string]bool{}}
	in := func(family, table string) chains {
		name := family + " " + table
		if found.tables[name] == nil {
			found.tables[name] = chains{}
		}
		return found.tables[name]
	}
	for _, entry := range listed.Nftables {
		switch {
		case entry.Table != nil:
			found.owned[entry.Table.Family+" "+entry.Table.Name] = bytes.Contains(entry.Table.Flags, []byte(`"own`)) // "owned" or, later, "owner"
		case entry.Chain != nil:
			found.bases = append(found.bases, *entry.Chain)
			in(entry.Chain.Family, entry.Chain.Table).at(entry.Chain.Name).closed = entry.Chain.Policy == "drop"
		case entry.Rule != nil:
			if entry.Rule.Comment == openedComment {
				found.ours = append(found.ours, *entry.Rule)
				continue
			}
			var expressions any
			if err := json.Unmarshal(entry.Rule.Expr, &expressions); err != nil {
				return nil, fmt.Errorf("read this machine's nftables: %w", err)
			}
			in(entry.Rule.Family, entry.Rule.Table).at(entry.Rule.Chain).verdicts(expressions)
		}
	}
	return found, nil
}

// verdicts notes what expressions of a rule, maps of verdicts among them, may
// decide.
func (c *chain) verdicts(expression any) {
	switch e := expression.(type) {
	case []any:
		for _, element := range e {
			c.verdicts(element)
		}
	case map[string]any:
		for key, value := range e {
			switch key {
			case "drop", "reject":
				c.closed = true
			case "jump", "goto":
				if to, ok := value.(map[string]any); ok {
					target, _ := to["target"].(string)
					c.next = append(c.next, target)
				}
			default:
				c.verdicts(value)
			}
		}
	}
}

// dropping are somebody else's chains of nftables' own that may drop what the
// cluster sends. iptables' chains have its names; nftables' users choose theirs.
func (r *ruleset) dropping() []base {
	return slices.DeleteFunc(slices.Clone(r.bases), func(b base) bool {
		return b.Type != "filter" || !slices.Contains(hooks, b.Hook) || b.Family != "ip" && b.Family != "inet" ||
			b.Name == strings.ToUpper(b.Hook) ||
			slices.Contains(ownTables, b.table()) ||
			!r.tables[b.table()].drops(b.Name)
	})
}

// holds reports whether a table has chains.
func (r *ruleset) holds(table string) bool { return len(r.tables[table]) > 0 }

// shut are those of dropping that berth can open.
func (r *ruleset) shut() []base {
	return slices.DeleteFunc(r.dropping(), func(b base) bool { return r.owned[b.table()] || b.Table == firewalldTable })
}

// opened removes berth's rules from tables of others, as lines for nft.
func (r *ruleset) opened() string {
	var lines strings.Builder
	for _, rule := range r.ours {
		fmt.Fprintf(&lines, "delete rule %s %s %s handle %d\n", rule.Family, rule.Table, rule.Chain, rule.Handle)
	}
	return lines.String()
}
