package policies

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// pod makes a pod of a namespace with the label app=NAME, ready to be reached.
func pod(namespace, name, address string, ports ...core.ContainerPort) *core.Pod {
	return &core.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       core.PodSpec{Containers: []core.Container{{Ports: ports}}},
		Status:     core.PodStatus{PodIP: address, Phase: core.PodRunning},
	}
}

// policy reads the spec of a policy.
func policy(t testing.TB, namespace, spec string) *networking.NetworkPolicy {
	t.Helper()
	p := &networking.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "p"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

// shop is a small cluster.
func shop(policies ...*networking.NetworkPolicy) state {
	ended := pod("shop", "job", "10.118.1.4")
	ended.Status.Phase = core.PodSucceeded
	young := pod("shop", "young", "")
	host := pod("shop", "host", "10.118.0.11")
	host.Spec.HostNetwork = true
	return state{
		pods: []*core.Pod{
			pod("shop", "web", "10.118.1.2"), ended, young, host,
			pod("shop", "db", "10.118.1.3", core.ContainerPort{Name: "sql", ContainerPort: 5432}),
			pod("other", "web", "10.118.2.2"),
		},
		namespaces: map[string]labels.Set{"shop": {"team": "a"}, "other": {"team": "b"}},
		policies:   policies,
	}
}

// chain is the rules of a chain, without those that every pod has.
func chain(rules, name string) (lines []string, found bool) {
	_, rest, found := strings.Cut(rules, "\tchain "+name+" {")
	body, _, _ := strings.Cut(rest, "\t}\n")
	for _, line := range strings.Split(body, "\n")[1:] {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, found
}

func TestRules(t *testing.T) {
	const in, out = "in-10.118.1.3", "out-10.118.1.3"
	for _, test := range []struct {
		name, spec, chain string
		want              []string // nil for no chain
	}{
		{"ingress is denied", `{podSelector: {}, policyTypes: [Ingress]}`, in, []string{}},
		{"and egress is not", `{podSelector: {}, policyTypes: [Ingress]}`, out, nil},
		{"another pod's policy", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}`, in, nil},
		{"everything is allowed", `{podSelector: {}, ingress: [{}], policyTypes: [Ingress]}`, in, []string{"return"}},
		{"what the API server fills in", `{podSelector: {}, egress: [{}]}`, out, []string{"return"}},
		{"a pod of the namespace", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`, in,
			[]string{"ip saddr { 10.118.1.2 } return"}},
		{"pods of namespaces", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}`, in,
			[]string{"ip saddr { 10.118.2.2 } return"}},
		{"pods in all namespaces", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]}`, in,
			[]string{"ip saddr { 10.118.1.2, 10.118.2.2 } return"}},
		{"neither ended nor young pods, nor a node", `{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [job, young, host]}]}}]}]}`, in,
			[]string{}},
		{"a port", `{podSelector: {}, ingress: [{ports: [{port: 5432}]}]}`, in, []string{"tcp dport 5432 return"}},
		{"ports of pods", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 1}, {port: 2, endPort: 9, protocol: UDP}, {protocol: SCTP}]}]}`, in,
			[]string{"ip saddr { 10.118.1.2 } meta l4proto sctp return", "ip saddr { 10.118.1.2 } tcp dport 1 return", "ip saddr { 10.118.1.2 } udp dport 2-9 return"}},
		{"a named port", `{podSelector: {}, ingress: [{ports: [{port: sql}, {port: sql, protocol: UDP}, {port: none}]}]}`, in, []string{"tcp dport 5432 return"}},
		{"a named port of peers", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: sql}]}]}`, out, []string{"ip daddr 10.118.1.3 tcp dport 5432 return"}},
		{"a named port of peers without it", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]}`, out, []string{}},
		{"blocks", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 127.0.0.0/8]}}, {ipBlock: {cidr: "2000::/3"}}], ports: [{port: 443}]}]}`, out,
			[]string{"ip daddr 0.0.0.0/0 ip daddr != 10.0.0.0/8 ip daddr != 127.0.0.0/8 tcp dport 443 return", "ip daddr 255.255.255.255 tcp dport 443 return"}},
		{"what is excepted and not understood", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [nonsense]}}]}]}`, out,
			[]string{"ip daddr 255.255.255.255 return"}},
	} {
		got, found := chain(render(shop(policy(t, "shop", test.spec))), test.chain)
		if test.want == nil {
			if found {
				t.Errorf("%s: there is a chain: %q", test.name, got)
			}
			continue
		}
		peer := map[bool]string{true: "saddr", false: "daddr"}[test.chain == in]
		want := append(append([]string{"ip " + peer + " 10.118.1.3 return"}, test.want...), "drop")
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Policies add up: what one of them allows is allowed.
func TestPoliciesAddUp(t *testing.T) {
	s := shop(policy(t, "shop", `{podSelector: {}}`), policy(t, "shop", `{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 1}]}]}`),
		policy(t, "other", `{podSelector: {}, ingress: [{ports: [{port: 2}]}]}`))
	if got, _ := chain(render(s), "in-10.118.1.3"); strings.Join(got, ";") != "ip saddr 10.118.1.3 return;tcp dport 1 return;drop" {
		t.Errorf("got %q", got)
	}
}

// Of two pods with one address, one of which the kubelet has not told the end of
// yet, the younger one has it.
func TestAnAddressIsTheYoungestPods(t *testing.T) {
	old, young := pod("shop", "old", "10.118.1.9"), pod("shop", "young", "10.118.1.9")
	old.CreationTimestamp, young.CreationTimestamp = metav1.Unix(1, 0), metav1.Unix(2, 0)
	for _, pods := range [][]*core.Pod{{old, young}, {young, old}} {
		if got := (state{pods: pods}).isolatable(); len(got) != 1 || got[0] != young {
			t.Errorf("got %v", got)
		}
	}
}

// FuzzRender looks that nft takes whatever the API server would: ports, ranges
// and blocks in all combinations, repeated and overlapping.
func FuzzRender(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rules := render(random(t, rand.New(rand.NewPCG(seed, 1))))
		// In a network of its own, where it is loaded twice: it replaces itself.
		command := exec.Command("unshare", "--net", "sh", "-c", `text=$(cat); echo "$text" | nft -f - && echo "$text" | nft -f -`)
		command.Stdin = strings.NewReader(rules)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, output, rules)
		}
	})
}

func random(t *testing.T, r *rand.Rand) state {
	one := func(all ...string) string { return all[r.IntN(len(all))] }
	list := func(of func() string) string {
		var all []string
		for range r.IntN(4) {
			all = append(all, of())
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	selector := func() string {
		return one("{}", "{matchLabels: {app: web}}", "{matchLabels: {app: db}}", "{matchLabels: {team: b}}")
	}
	peer := func() string {
		return one("{podSelector: "+selector()+"}", "{namespaceSelector: "+selector()+"}", "{namespaceSelector: {}, podSelector: "+selector()+"}",
			"{ipBlock: {cidr: 10.1.2.3/8, except: [10.1.0.0/16, 10.1.2.0/24]}}", "{ipBlock: {cidr: '::/0'}}", "{ipBlock: {cidr: 0.0.0.0/0}}")
	}
	port := func() string {
		return one("{port: 80}", "{port: 80, endPort: 90}", "{port: 85, endPort: 99, protocol: UDP}", "{port: sql}", "{protocol: SCTP}", "{}")
	}
	s := shop()
	for range r.IntN(5) {
		s.policies = append(s.policies, policy(t, one("shop", "other"), fmt.Sprintf("{podSelector: %s, policyTypes: %s, ingress: %s, egress: %s}",
			selector(), one("[Ingress]", "[Egress]", "[Ingress, Egress]"),
			list(func() string { return "{from: " + list(peer) + ", ports: " + list(port) + "}" }),
			list(func() string { return "{to: " + list(peer) + ", ports: " + list(port) + "}" }))))
	}
	return s
}
