package local

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"berth/internal/config"
)

// A taken port is named with who has it, and with the line of berth.yaml that
// goes round it.
func TestCheckPortsNamesWhoListens(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	everywhere, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	port := everywhere.Addr().(*net.TCPAddr).Port
	p := &Provider{
		config:  config.Local{HTTP: fmt.Sprintf("127.0.0.1:%d", port), HTTPS: taken.Addr().String()},
		network: network{netip.MustParsePrefix("10.118.0.0/16")},
	}

	check := p.checkPorts()
	me := fmt.Sprintf("(pid %d)", os.Getpid())
	for _, address := range []string{p.config.HTTP, p.config.HTTPS} {
		if !strings.Contains(check.Problem, address+" is taken by ") || !strings.Contains(check.Problem, me) {
			t.Errorf("the problem %q does not say that %s has %s", check.Problem, me, address)
		}
	}
	for _, line := range []string{"local: {http: 127.0.0.1:", "local: {https: 127.0.0.1:"} {
		if !strings.Contains(check.Remedy, line) {
			t.Errorf("the remedy %q does not suggest %s", check.Remedy, line)
		}
	}
}

// Who listens on all addresses is in the way of the cluster's own, which are not
// there before it is up; who listens on 127.0.0.1 is not.
func TestCheckPortsSeesWhoListensEverywhere(t *testing.T) {
	for _, test := range []struct{ network, taken, want string }{
		{"tcp", "0.0.0.0:9000", "10.118.0.1:9000"},
		{"tcp", "[::]:6443", "10.118.0.1:6443"},
		{"tcp", "0.0.0.0:20500", "10.118.0.1:20500"},
		{"tcp", "0.0.0.0:10250", "10.118.0.11:10250"},
		{"udp", "0.0.0.0:53", "10.118.0.2:53"},
		{"tcp", "0.0.0.0:53", "10.118.0.2:53"},
		{"tcp", "0.0.0.0:10254", "127.0.0.1:10254"},
		{"tcp", "127.0.0.1:9000", ""},
		{"udp", "127.0.0.53:53", ""},
	} {
		t.Run(test.network+" "+test.taken, func(t *testing.T) {
			s := newSpace(t) // where nobody else listens
			s.in(t, func() error {
				var socket io.Closer
				var err error
				if test.network == "udp" {
					socket, err = net.ListenPacket(test.network, test.taken)
				} else {
					socket, err = net.Listen(test.network, test.taken)
				}
				if err != nil {
					return err
				}
				defer socket.Close()
				p := &Provider{
					config:  config.Local{HTTP: "127.0.0.1:8080", HTTPS: "127.0.0.1:8443"},
					network: network{netip.MustParsePrefix("10.118.0.0/16")},
				}
				check := p.checkPorts()
				if test.want == "" {
					if check.Problem != "" {
						t.Errorf("it is in the way: %+v", check)
					}
					return nil
				}
				if !strings.Contains(check.Problem, test.want+" is taken by ") || !strings.Contains(check.Problem, fmt.Sprintf("(pid %d)", os.Getpid())) ||
					strings.Contains(check.Problem, ",") || check.Remedy == "" {
					t.Errorf("got %+v, want %s and who has it", check, test.want)
				}
				return nil
			})
		})
	}
}

func TestCheckPortsTellsAnAddressThatIsNotHere(t *testing.T) {
	p := &Provider{
		config:  config.Local{HTTP: "192.0.2.77:8080", HTTPS: "127.0.0.1:0"},
		network: network{netip.MustParsePrefix("10.118.0.0/16")},
	}
	if check := p.checkPorts(); !strings.Contains(check.Problem, "192.0.2.77:8080: this machine has no such address") {
		t.Errorf("got %q", check.Problem)
	}
}

func TestOtherPort(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8443": "127.0.0.1:8453",
		"127.0.0.1:443":  "127.0.0.1:8443",
		"0.0.0.0:80":     "0.0.0.0:8080",
		"[::1]:8080":     "[::1]:8090",
	} {
		if got := otherPort(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
