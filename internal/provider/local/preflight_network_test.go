package local

import (
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

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

// An address in the network has no route in the main table where it is alone.
func TestCheckNetworkSeesAddresses(t *testing.T) {
	for address, problem := range map[string]string{
		"10.118.3.2/32": "in use: 10.118.3.2 by lo",
		"10.118.7.1/24": "in use: 10.118.7",
		"10.119.0.1/16": "",
		"10.0.0.1/8":    "",
	} {
		newSpace(t).in(t, func() error {
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			parsed, err := netlink.ParseAddr(address)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(lo, parsed); err != nil {
				return err
			}
			p := &Provider{network: network{netip.MustParsePrefix("10.118.0.0/16")}}
			remedy := ""
			if problem != "" {
				remedy = "local.network"
			}
			told(t, address, p.checkNetwork(), problem, remedy)
			return nil
		})
	}
}
