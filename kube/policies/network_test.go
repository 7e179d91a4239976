package policies

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// The test binary is also what runs in pods: a server, and a client that prints
// the addresses that answer it.
func TestMain(m *testing.M) {
	switch os.Getenv("POLICIES_TEST") {
	case "serve":
		for _, port := range []string{"53", "80", "5432"} {
			listener, err := net.Listen("tcp4", ":"+port)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			go func() {
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					connection.Close()
				}
			}()
		}
		fmt.Println("serving")
		select {}
	case "dial":
		var all sync.WaitGroup
		var mu sync.Mutex
		for _, address := range os.Args[1:] {
			all.Go(func() {
				connection, err := net.DialTimeout("tcp4", address, time.Second)
				if err != nil {
					return
				}
				connection.Close()
				mu.Lock()
				defer mu.Unlock()
				fmt.Println(address)
			})
		}
		all.Wait()
		return
	}
	os.Exit(m.Run())
}

// lan is a machine with pods as the ptp plugin joins them to it: network
// namespaces with a pair of interfaces each and a route to each address.
type lan struct {
	t       *testing.T
	machine string            // process whose network it is
	pods    map[string]string // processes, by address
}

func newLAN(t *testing.T, addresses ...string) *lan {
	t.Helper()
	l := &lan{t: t, pods: map[string]string{}}
	l.machine = l.namespace("unshare", "--net", "sleep", "300")
	l.run(l.machine, "ip", "link", "set", "lo", "up")
	l.run(l.machine, "ip", "address", "add", "10.118.0.1/32", "dev", "lo")
	l.run(l.machine, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	for i, address := range addresses {
		pod := l.namespace("nsenter", "--target", l.machine, "--net", "unshare", "--net", "sleep", "300")
		l.pods[address] = pod
		link := fmt.Sprint("veth", i)
		l.run(l.machine, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod)
		l.run(l.machine, "ip", "address", "add", "10.118.9.1/32", "dev", link)
		l.run(l.machine, "ip", "link", "set", link, "up")
		l.run(l.machine, "ip", "route", "add", address, "dev", link)
		l.run(pod, "ip", "link", "set", "lo", "up")
		l.run(pod, "ip", "address", "add", address+"/32", "dev", "eth0")
		l.run(pod, "ip", "link", "set", "eth0", "up")
		l.run(pod, "ip", "route", "add", "10.118.9.1", "dev", "eth0")
		l.run(pod, "ip", "route", "add", "default", "via", "10.118.9.1")
		l.serve(pod)
	}
	l.serve(l.machine)
	return l
}

// namespace starts a process that has a network of its own when this returns.
func (l *lan) namespace(command ...string) string {
	l.t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		l.t.Fatal(err)
	}
	process := l.start(exec.Command(command[0], command[1:]...))
	pid := fmt.Sprint(process.Process.Pid)
	for range 500 {
		// unshare becomes the program that it runs in its new network.
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		if now, err := os.Readlink("/proc/" + pid + "/ns/net"); err == nil && now != own && strings.HasPrefix(string(name), "sleep") {
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Fatalf("%v makes no network", command)
	return ""
}

func (l *lan) start(command *exec.Cmd) *exec.Cmd {
	l.t.Helper()
	if err := command.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		command.Process.Kill() //nolint:errcheck // it has ended else
		command.Wait()         //nolint:errcheck // as it was killed
	})
	return command
}

func (l *lan) run(pid string, command ...string) string {
	l.t.Helper()
	output, err := exec.Command("nsenter", append([]string{"--target", pid, "--net"}, command...)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%v: %v: %s", command, err, output)
	}
	return string(output)
}

func (l *lan) serve(pid string) {
	l.t.Helper()
	server := exec.Command("nsenter", "--target", pid, "--net", os.Args[0])
	server.Env = append(os.Environ(), "POLICIES_TEST=serve")
	reads, writes, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	defer reads.Close()
	server.Stdout = writes
	l.start(server)
	writes.Close()
	if _, err := reads.Read(make([]byte, 10)); err != nil {
		l.t.Fatalf("no server in process %s's network: %v", pid, err)
	}
}

// enforce loads the rules of a state.
func (l *lan) enforce(s state) {
	l.t.Helper()
	command := exec.Command("nsenter", "--target", l.machine, "--net", "nft", "-f", "-")
	command.Stdin = strings.NewReader(render(s))
	if output, err := command.CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, output)
	}
}

// reached are those of all addresses that answer to a process.
func (l *lan) reached(pid string, addresses []string) map[string]bool {
	l.t.Helper()
	client := exec.Command("nsenter", append([]string{"--target", pid, "--net", os.Args[0]}, addresses...)...)
	client.Env = append(os.Environ(), "POLICIES_TEST=dial")
	var errors bytes.Buffer
	client.Stderr = &errors
	output, err := client.Output()
	if err != nil {
		l.t.Fatalf("%v: %s", err, errors.String())
	}
	found := map[string]bool{}
	for _, line := range strings.Fields(string(output)) {
		found[line] = true
	}
	return found
}

// The policies of berth's charts, in a real network: what they allow passes, and
// nothing else does.
func TestPacketsFollowPolicies(t *testing.T) {
	const web, db, other, api = "10.118.1.2", "10.118.1.3", "10.118.2.2", "10.118.0.1"
	l := newLAN(t, web, db, other)
	// A Service of the database, as kube-proxy leads there before rules look.
	const service = "10.118.128.9:5432"
	l.run(l.machine, "nft", "table ip nat { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.118.128.9 tcp dport 5432 dnat to "+db+"; }; chain postrouting { type nat hook postrouting priority srcnat; ip saddr "+db+" ip daddr "+db+" masquerade; }; }")
	ends := map[string]string{web: l.pods[web], db: l.pods[db], other: l.pods[other], api: l.machine}
	addresses := []string{service}
	for _, end := range []string{web, db, other, api} {
		for _, port := range []string{"53", "80", "5432"} {
			addresses = append(addresses, end+":"+port)
		}
	}
	policies := shop(
		// A database calls nobody.
		policy(t, "shop", `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress],
			ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]}`),
		// An application calls its database, DNS, and the web.
		policy(t, "shop", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress],
			egress: [{ports: [{port: 53, protocol: UDP}, {port: 53}]}, {to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]},
				{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}], ports: [{port: 80}]}]}`),
		// Its port is open to everybody.
		policy(t, "shop", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}`),
	)
	early := policies // before the kubelet has told that the stranger is there
	early.pods = slices.DeleteFunc(slices.Clone(policies.pods), func(p *core.Pod) bool { return p.Namespace == "other" })
	for _, test := range []struct {
		name, from string
		state      state
		want       []string // none for all
	}{
		{"without policies", other, shop(), nil},
		{"the application", web, policies, []string{web + ":53", web + ":80", web + ":5432", db + ":5432", service, other + ":53", api + ":53"}},
		{"the database", db, policies, []string{db + ":53", db + ":80", db + ":5432", service}}, // its own
		{"a stranger", other, policies, []string{web + ":80", other + ":53", other + ":80", other + ":5432", api + ":53", api + ":80", api + ":5432"}},
		{"a pod that is not known yet", other, early, nil},
		{"the node itself", api, policies, addresses[1:]}, // whose own requests kube-proxy leads elsewhere
		{"after the policies went", web, shop(), nil},
	} {
		l.enforce(test.state)
		want := test.want
		if want == nil {
			want = addresses
		}
		got := l.reached(ends[test.from], addresses)
		for _, address := range addresses {
			expected := false
			for _, one := range want {
				expected = expected || one == address
			}
			if got[address] != expected {
				t.Errorf("%s: %s reaches %s: %v, want %v", test.name, test.from, address, got[address], expected)
			}
		}
	}
}
