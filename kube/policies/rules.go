package policies

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Table is the nftables table that holds the rules.
const Table = "berth-policies"

// state is what the rules follow from.
type state struct {
	pods       []*core.Pod
	namespaces map[string]labels.Set // their labels, by name
	policies   []*networking.NetworkPolicy
}

// direction is one of the two ways in which a policy isolates a pod.
type direction struct {
	kind networking.PolicyType
	// chain begins the name of a pod's chain. The pod is at one end of what
	// passes there, and the peer at the other.
	chain, pod, peer string
}

var (
	ingress = direction{networking.PolicyTypeIngress, "in-", "daddr", "saddr"}
	egress  = direction{networking.PolicyTypeEgress, "out-", "saddr", "daddr"}
)

// rule is an ingress or an egress rule of a policy.
type rule struct {
	ports []networking.NetworkPolicyPort
	peers []networking.NetworkPolicyPeer
}

// render writes the whole table. Each pod that a policy isolates has a chain for
// either direction, in which everything that a policy allows returns, and the
// rest is dropped.
//
// The kubelet tells a pod's address a second after its start. Until then nothing
// is refused to it: else every application would wait that long for its database.
//
// What this machine itself sends passes neither hook: a node always reaches its
// pods, as kubelets must. What pods send to this machine passes input.
func render(s state) string {
	pods := s.isolatable()
	var chains strings.Builder
	elements := map[direction][]string{}
	for _, pod := range pods {
		for _, d := range []direction{egress, ingress} {
			rules, isolated := s.rulesOf(pod, d)
			if !isolated {
				continue
			}
			name := d.chain + pod.Status.PodIP
			elements[d] = append(elements[d], fmt.Sprintf("%s : jump %s", pod.Status.PodIP, name))
			fmt.Fprintf(&chains, "\tchain %s { # %s\n", name, comment(pod))
			// A Service may lead a pod to itself.
			fmt.Fprintf(&chains, "\t\tip %s %s return\n", d.peer, pod.Status.PodIP)
			for _, line := range s.lines(pod, pods, rules, d) {
				fmt.Fprintf(&chains, "\t\t%sreturn\n", line)
			}
			chains.WriteString("\t\tdrop\n\t}\n")
		}
	}
	var known []string
	for _, pod := range pods {
		known = append(known, pod.Status.PodIP)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table ip %[1]s\ndelete table ip %[1]s\ntable ip %[1]s {\n", Table)
	b.WriteString(chains.String())
	for _, hook := range []struct {
		name       string
		directions []direction
	}{{"forward", []direction{egress, ingress}}, {"input", []direction{egress}}} {
		fmt.Fprintf(&b, "\tchain %[1]s {\n\t\ttype filter hook %[1]s priority filter; policy accept;\n", hook.name)
		b.WriteString("\t\tct state established,related accept\n")
		for _, d := range hook.directions {
			if len(elements[d]) == 0 {
				continue
			}
			b.WriteString("\t\t")
			if d == ingress {
				fmt.Fprintf(&b, "ip %s { %s } ", d.peer, strings.Join(known, ", "))
			}
			fmt.Fprintf(&b, "ip %s vmap { %s }\n", d.pod, strings.Join(elements[d], ", "))
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// comment names a pod in the rules, for people. Its name is a DNS subdomain.
func comment(pod *core.Pod) string { return pod.Namespace + "/" + pod.Name }

// isolatable are the pods with an address of their own, in its order. One that
// has ended may have left it to another.
func (s state) isolatable() []*core.Pod {
	by := map[netip.Addr]*core.Pod{}
	for _, pod := range s.pods {
		address, err := netip.ParseAddr(pod.Status.PodIP)
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
		if err != nil || !address.Is4() || pod.Spec.HostNetwork || ended {
			continue
		}
		if other := by[address]; other == nil || other.CreationTimestamp.Before(&pod.CreationTimestamp) {
			by[address] = pod
		}
	}
	var pods []*core.Pod
	for _, address := range slices.SortedFunc(maps.Keys(by), netip.Addr.Compare) {
		pods = append(pods, by[address])
	}
	return pods
}

// rulesOf are the rules of all policies that isolate a pod in a direction.
func (s state) rulesOf(pod *core.Pod, d direction) (rules []namespaced, isolated bool) {
	for _, policy := range s.policies {
		if policy.Namespace != pod.Namespace || !applies(policy, d) || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		isolated = true
		if d == ingress {
			for _, r := range policy.Spec.Ingress {
				rules = append(rules, namespaced{policy.Namespace, rule{r.Ports, r.From}})
			}
		} else {
			for _, r := range policy.Spec.Egress {
				rules = append(rules, namespaced{policy.Namespace, rule{r.Ports, r.To}})
			}
		}
	}
	return rules, isolated
}

// namespaced is a rule of a policy in a namespace, from where its selectors look.
type namespaced struct {
	namespace string
	rule
}

func applies(policy *networking.NetworkPolicy, d direction) bool {
	if len(policy.Spec.PolicyTypes) == 0 { // as the API server fills it in
		return d == ingress || len(policy.Spec.Egress) > 0
	}
	return slices.Contains(policy.Spec.PolicyTypes, d.kind)
}

// selects reports whether a selector holds for labels. One that cannot be read
// holds for none; the API server takes no such.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// lines are the conditions under which rules let something pass, each with a
// blank behind it.
func (s state) lines(pod *core.Pod, pods []*core.Pod, rules []namespaced, d direction) []string {
	var lines []string
	for _, r := range rules {
		peers, blocks := s.peers(r, pods)
		var addresses []string // conditions on the other end
		if len(r.peers) == 0 {
			addresses = []string{""}
		} else if len(peers) > 0 {
			addresses = []string{oneOf(d, peers)}
		}
		for _, block := range blocks {
			addresses = append(addresses, within(d, block))
		}
		if len(r.ports) == 0 {
			lines = append(lines, addresses...)
			continue
		}
		for _, port := range r.ports {
			if port.Port != nil && port.Port.Type == intstr.String {
				lines = append(lines, named(d, pod, pods, peers, addresses, r, port)...)
				continue
			}
			for _, address := range addresses {
				lines = append(lines, address+numbered(port))
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// peers are the pods that a rule names by selectors, and the blocks of addresses.
func (s state) peers(r namespaced, pods []*core.Pod) (peers []*core.Pod, blocks []*networking.IPBlock) {
	for _, peer := range r.peers {
		if peer.IPBlock != nil {
			blocks = append(blocks, peer.IPBlock)
		}
	}
	for _, pod := range pods {
		if slices.ContainsFunc(r.peers, func(p networking.NetworkPolicyPeer) bool { return s.isPeer(p, r.namespace, pod) }) {
			peers = append(peers, pod)
		}
	}
	return peers, blocks
}

func (s state) isPeer(peer networking.NetworkPolicyPeer, namespace string, pod *core.Pod) bool {
	switch {
	case peer.IPBlock != nil || peer.PodSelector == nil && peer.NamespaceSelector == nil:
		return false
	case peer.NamespaceSelector == nil && pod.Namespace != namespace:
		return false
	case peer.NamespaceSelector != nil && !selects(peer.NamespaceSelector, s.namespaces[pod.Namespace]):
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)
}

// named are the conditions for a port that is named: by the pod itself where it
// is reached, by each peer where it reaches those.
func named(d direction, pod *core.Pod, pods, peers []*core.Pod, addresses []string, r namespaced, port networking.NetworkPolicyPort) []string {
	var lines []string
	if d == ingress {
		for _, number := range numbers(pod, port) {
			for _, address := range addresses {
				lines = append(lines, fmt.Sprintf("%s%s dport %d ", address, protocol(port), number))
			}
		}
		return lines
	}
	if len(r.peers) == 0 {
		peers = pods
	}
	for _, peer := range peers {
		for _, number := range numbers(peer, port) {
			lines = append(lines, fmt.Sprintf("ip %s %s %s dport %d ", d.peer, peer.Status.PodIP, protocol(port), number))
		}
	}
	return lines
}

// numbers are what a pod's containers call a port.
func numbers(pod *core.Pod, port networking.NetworkPolicyPort) []int32 {
	var found []int32
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, p := range container.Ports {
			if p.Name == port.Port.StrVal && strings.ToLower(string(cmp.Or(p.Protocol, core.ProtocolTCP))) == protocol(port) {
				found = append(found, p.ContainerPort)
			}
		}
	}
	return found
}

// numbered is the condition for a port, for a range of ports, or for all.
func numbered(port networking.NetworkPolicyPort) string {
	switch {
	case port.Port == nil:
		return "meta l4proto " + protocol(port) + " "
	case port.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d ", protocol(port), port.Port.IntVal, *port.EndPort)
	}
	return fmt.Sprintf("%s dport %d ", protocol(port), port.Port.IntVal)
}

// protocol as nftables calls it: tcp, udp or sctp.
func protocol(port networking.NetworkPolicyPort) string {
	if port.Protocol == nil {
		return "tcp"
	}
	switch *port.Protocol {
	case core.ProtocolUDP:
		return "udp"
	case core.ProtocolSCTP:
		return "sctp"
	}
	return "tcp"
}

func oneOf(d direction, pods []*core.Pod) string {
	var addresses []string
	for _, pod := range pods {
		addresses = append(addresses, pod.Status.PodIP)
	}
	return fmt.Sprintf("ip %s { %s } ", d.peer, strings.Join(addresses, ", "))
}

// within is the condition for a block, and "" is none. What is no block of IPv4
// matches nothing here.
func within(d direction, block *networking.IPBlock) string {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		return nothing(d)
	}
	condition := fmt.Sprintf("ip %s %s ", d.peer, prefix.Masked())
	for _, except := range block.Except {
		prefix, err := netip.ParsePrefix(except)
		if err != nil {
			return nothing(d) // what is excepted must never pass
		}
		if prefix.Addr().Is4() {
			condition += fmt.Sprintf("ip %s != %s ", d.peer, prefix.Masked())
		}
	}
	return condition
}

// nothing is a condition that no packet meets: that address is nobody's.
func nothing(d direction) string { return fmt.Sprintf("ip %s 255.255.255.255 ", d.peer) }
