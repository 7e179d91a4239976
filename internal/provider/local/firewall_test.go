package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth/internal/config"
)

var counters = regexp.MustCompile(`packets \d+ bytes \d+`)

func (w *testNetwork) rules(t *testing.T) string {
	t.Helper()
	return counters.ReplaceAllString(w.machine.run(t, "nft list ruleset"), "counter")
}

// Firewalls as they are on machines, each with what it keeps shut.
var firewalls = map[string]struct {
	rules string
	input bool // it keeps out what is not asked for
}{
	"none": {"", false},
	"nftables.service with an input drop": {`nft -f - <<END
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		tcp dport 22 accept
	}
	chain forward { type filter hook forward priority filter; policy drop; }
	chain output { type filter hook output priority filter; policy accept; }
}
END`, true},
	"nftables with a chain of its own that rejects": {`nft -f - <<END
table ip guard {
	chain early {
		type filter hook input priority -10; policy accept;
		ct state vmap { established : accept, invalid : drop, new : jump fresh }
	}
	chain fresh {
		iifname "lo" accept
		reject
	}
}
END`, true},
	"nftables that lets nothing out": {`nft -f - <<END
table inet filter {
	chain output {
		type filter hook output priority filter; policy drop;
		oif "lo" accept
		ct state established accept
	}
}
END`, false},
	"Docker": {`iptables -P FORWARD DROP
iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN`, false},
	"ufw": {`iptables -P INPUT DROP; iptables -P FORWARD DROP
iptables -N ufw-before-input; iptables -A INPUT -j ufw-before-input
iptables -A ufw-before-input -i lo -j ACCEPT
iptables -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A ufw-before-input -p tcp --dport 22 -j ACCEPT`, true},
	"a cloud's image that rejects at the end": {`iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m state --state ESTABLISHED -j ACCEPT
iptables -N last; iptables -A INPUT -g last; iptables -A last -j REJECT
iptables -A FORWARD -j REJECT`, true},
	"iptables and nftables beside each other": {`iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m state --state ESTABLISHED -j ACCEPT
nft add table inet mine
nft add chain inet mine forward '{ type filter hook forward priority 5; policy drop; }'`, true},
}

// Pods reach what they need beside any firewall, and only that; what was opened
// is closed again.
func TestPodsPassFirewalls(t *testing.T) {
	for name, firewall := range firewalls {
		t.Run(name, func(t *testing.T) {
			w := newTestNetwork(t)
			if firewall.rules != "" {
				w.machine.run(t, firewall.rules)
			}
			before := w.rules(t)
			w.up(t)
			w.serve(t)
			for _, wanted := range []struct {
				from             *space
				network, address string
			}{
				{w.pod, "tcp", "10.118.0.1:9000"},
				{w.pod, "tcp", "10.118.0.1:6443"},
				{w.pod, "tcp", "10.118.0.1:20500"},
				{w.pod, "tcp", "10.118.0.11:10250"},
				{w.pod, "tcp", "10.118.0.11:10254"},
				{w.pod, "tcp", "10.118.0.2:53"},
				{w.pod, "udp", "10.118.0.2:53"},
				{w.pod, "tcp", "10.118.1.6:8000"},
				{w.pod, "tcp", "192.168.77.2:80"},
				{w.machine, "tcp", "10.118.1.5:8000"},
				{w.machine, "tcp", "10.118.0.1:6443"},
			} {
				if !wanted.from.reaches(t, wanted.network, wanted.address) {
					t.Errorf("%s %s cannot be reached", wanted.network, wanted.address)
				}
			}
			if w.pod.reaches(t, "tcp", "10.118.0.1:5000") == firewall.input {
				t.Errorf("whether pods reach this machine's own ports is not the firewall's to say any more")
			}
			once := w.rules(t)
			w.up(t)
			if twice := w.rules(t); len(twice) != len(once) {
				t.Errorf("the second up changes the rules from\n%s\nto\n%s", once, twice)
			}
			w.machine.in(t, func() error { return w.network.down(t.Context()) })
			if after := w.rules(t); after != before {
				t.Errorf("the rules were\n%s\nand are after down\n%s", before, after)
			}
		})
	}
}

// Many machines have no iptables; berth needs none.
func TestDownWithoutIptables(t *testing.T) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	if err := os.Symlink(nft, filepath.Join(programs, "nft")); err != nil {
		t.Fatal(err)
	}
	w := newTestNetwork(t)
	before := w.rules(t)
	usual := os.Getenv("PATH")
	t.Setenv("PATH", programs)
	w.up(t)
	w.machine.in(t, func() error { return w.network.down(t.Context()) })
	t.Setenv("PATH", usual)
	if after := w.rules(t); after != before {
		t.Errorf("the rules were\n%s\nand are after down\n%s", before, after)
	}
}

// A neighbour that sends what is for the cluster to this machine, and even lies
// about who it is, reaches nothing of it.
func TestNeighboursReachNothing(t *testing.T) {
	w := newTestNetwork(t)
	w.up(t)
	w.serve(t)
	w.machine.run(t, `nft -f - <<END
table ip kube-proxy {
	chain services {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr 10.118.128.9 tcp dport 80 dnat to 10.118.1.5:8000
	}
}
END`)
	if !w.other.reaches(t, "tcp", "10.118.128.9:80") {
		t.Error("a pod does not reach the Service")
	}
	for _, address := range []string{"10.118.0.1:9000", "10.118.0.1:6443", "10.118.0.11:10250", "10.118.0.11:10254", "10.118.1.5:8000", "10.118.128.9:80"} {
		if w.neighbour.reaches(t, "tcp", address) {
			t.Errorf("a neighbour reaches %s", address)
		}
	}
	// As another pod, and as this machine itself. No answer would find it, so
	// what arrives is counted.
	w.machine.run(t, `nft -f - <<END
table ip seen {
	chain input { type filter hook input priority -200; udp dport 53 counter; }
	chain forward { type filter hook forward priority -200; udp dport 53 counter; }
}
END`)
	for _, claimed := range []string{"10.118.1.6", "10.118.1.77", "10.118.0.1"} {
		w.neighbour.run(t, "ip address add "+claimed+"/32 dev lo")
		w.neighbour.in(t, func() error {
			from := net.UDPAddr{IP: net.ParseIP(claimed)}
			for _, to := range []string{"10.118.0.2", "10.118.1.5", "192.168.77.1"} {
				connection, err := net.DialUDP("udp4", &from, &net.UDPAddr{IP: net.ParseIP(to), Port: 53})
				if err != nil {
					return err
				}
				if _, err := connection.Write([]byte("hi")); err != nil {
					return err
				}
				connection.Close()
			}
			return nil
		})
	}
	time.Sleep(100 * time.Millisecond)
	if counts := w.machine.run(t, "nft list table ip seen"); strings.Count(counts, "packets 0 bytes 0") != 2 {
		t.Errorf("what a neighbour sent under a pod's address was let in:\n%s", counts)
	}
}

// A firewall that is loaded again takes the cluster's rules along, and one that
// comes after up knows nothing of it: both are seen.
func TestRulesComeBack(t *testing.T) {
	w := newTestNetwork(t)
	w.up(t)
	w.serve(t)
	p := newProvider(config.Local{}, layout{state: t.TempDir(), cache: t.TempDir()}, w.network)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	keeper := w.machine.twin(t)
	keeper.work <- func() { ended <- p.keepRules(ctx, slog.New(slog.DiscardHandler)) }
	for _, name := range []string{"nftables.service with an input drop", "Docker"} {
		w.machine.run(t, "nft flush ruleset\n"+firewalls[name].rules)
		for deadline := time.Now().Add(30 * time.Second); ; {
			if w.pod.reaches(t, "tcp", "10.118.0.1:9000") && w.pod.reaches(t, "tcp", "10.118.1.6:8000") &&
				w.pod.reaches(t, "tcp", "192.168.77.2:80") && !w.neighbour.reaches(t, "tcp", "10.118.1.5:8000") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the rules do not come back:\n%s", name, w.rules(t))
			}
		}
	}
	// Its own changes are nothing to act on: handles count up with each.
	settled := w.machine.run(t, "nft --handle list ruleset")
	time.Sleep(3 * settle)
	if later := w.machine.run(t, "nft --handle list ruleset"); counters.ReplaceAllString(later, "") != counters.ReplaceAllString(settled, "") {
		t.Errorf("rules go on changing, from\n%s\nto\n%s", settled, later)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.machine.in(t, func() error { return w.network.down(t.Context()) })
	if after := w.rules(t); strings.Contains(after, "10.118") {
		t.Errorf("after down there is\n%s", after)
	}
}

// Nothing but root reads kube-proxy's metrics.
func TestMetricsOfKubeProxyAreRootsAlone(t *testing.T) {
	w := newTestNetwork(t)
	w.up(t)
	w.machine.serve(t, fmt.Sprintf("127.0.0.1:%d", proxyPort))
	read := fmt.Sprintf("bash -c 'head -c 5 </dev/tcp/127.0.0.1/%d' 2>&1", proxyPort)
	if got := w.machine.run(t, read); got != "hello" {
		t.Errorf("root reads %q", got)
	}
	if got := w.machine.run(t, "setpriv --reuid 65534 --regid 65534 --clear-groups "+read+" || true"); !strings.Contains(got, "refused") {
		t.Errorf("another user reads %q", got)
	}
}

// A kernel without nftables and a container's root need different lines.
func TestCheckFirewallTellsKernelAndPermissionApart(t *testing.T) {
	for said, want := range map[string]string{
		"Error: Could not process rule: Operation not permitted":               "CAP_NET_ADMIN",
		"netlink: Error: cache initialization failed: Operation not permitted": "CAP_NET_ADMIN",
		"Unable to initialize Netlink socket: Protocol not supported":          "boot a kernel with nftables",
	} {
		folder := t.TempDir()
		if err := os.WriteFile(folder+"/nft", []byte("#!/bin/sh\necho '"+said+"' >&2\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", folder)
		if check := (&Provider{}).checkFirewall(t.Context()); !strings.Contains(check.Problem, said) || !strings.Contains(check.Remedy, want) {
			t.Errorf("%s: %+v", said, check)
		}
	}
}

// What no rule of berth's can open is told of before anything is changed, with
// the line that opens it.
func TestCheckFirewallNamesTheLineThatOpensIt(t *testing.T) {
	p := &Provider{network: network{netip.MustParsePrefix("10.118.0.0/16")}}
	// firewall-cmd talks to a daemon, which is not here: a script answers as it
	// does when no zone has the pods' addresses.
	folder := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in\n*--state*) exit 0 ;;\n*--get-zone-of-source=10.118.0.0/17*) exit $ZONE ;;\nesac\nexit 9\n"
	if err := os.WriteFile(folder+"/firewall-cmd", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	s := newSpace(t)
	for zone, want := range map[string]string{"2": "sudo firewall-cmd --permanent --zone=trusted --add-source=10.118.0.0/17 && sudo firewall-cmd --reload", "0": ""} {
		t.Setenv("ZONE", zone)
		s.in(t, func() error {
			if check := p.checkFirewall(t.Context()); check.Remedy != want || (check.Problem == "") != (want == "") {
				t.Errorf("with the status %s of firewall-cmd: %+v", zone, check)
			}
			return nil
		})
	}
	s.run(t, "rm "+folder+"/firewall-cmd")

	// A table that only the program that made it may change.
	owner, stdin := exec.Command("nft", "--interactive"), io.WriteCloser(nil)
	s.in(t, func() (err error) {
		if stdin, err = owner.StdinPipe(); err != nil {
			return err
		}
		return owner.Start()
	})
	defer owner.Wait() //nolint:errcheck // it ends with its input
	defer stdin.Close()
	if _, err := io.WriteString(stdin, "add table inet owned { flags owner; }\n"+
		"add chain inet owned in { type filter hook input priority 0; policy drop; }\n"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if strings.Contains(s.run(t, "nft list ruleset"), "chain in ") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.in(t, func() error {
		check := p.checkFirewall(t.Context())
		for _, word := range []string{"head of its chain in", "ip saddr 10.118.0.0/17", "9000", "udp dport 53 accept"} {
			if !strings.Contains(check.Remedy, word) {
				t.Errorf("%q does not say %q", check.Remedy, word)
			}
		}
		return p.network.openFirewalls(t.Context()) // leaves it alone
	})
}
