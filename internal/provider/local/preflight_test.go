package local

import (
	"fmt"
	"net"
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
	p := &Provider{config: config.Local{HTTP: fmt.Sprintf("127.0.0.1:%d", port), HTTPS: taken.Addr().String()}}

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

func TestCheckPortsTellsAnAddressThatIsNotHere(t *testing.T) {
	p := &Provider{config: config.Local{HTTP: "192.0.2.77:8080", HTTPS: "127.0.0.1:0"}}
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
