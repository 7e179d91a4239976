package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

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
