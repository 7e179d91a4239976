package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

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

// shut are those of dropping that berth can open.
func (r *ruleset) shut() []base {
	return slices.DeleteFunc(r.dropping(), func(b base) bool { return r.owned[b.table()] || b.Table == firewalldTable })
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

const firewalldTable = "firewalld"

// opened removes berth's rules from tables of others, as lines for nft.
func (r *ruleset) opened() string {
	var lines strings.Builder
	for _, rule := range r.ours {
		fmt.Fprintf(&lines, "delete rule %s %s %s handle %d\n", rule.Family, rule.Table, rule.Chain, rule.Handle)
	}
	return lines.String()
}

// holds reports whether a table has chains.
func (r *ruleset) holds(table string) bool { return len(r.tables[table]) > 0 }

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

var iptablesOurs = regexp.MustCompile(`--comment "?` + iptablesComment + `"? `)

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
