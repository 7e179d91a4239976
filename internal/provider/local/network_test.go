package local

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A proxy is for what is elsewhere. Whether it is asked is Go's to say, which
// reads the variables once a process, so each case has one of its own.
func TestNoProxyIsAskedForTheCluster(t *testing.T) {
	const asked = "BERTH_TEST_ASKED"
	if os.Getenv(asked) != "" {
		if err := (network{netip.MustParsePrefix("10.118.0.0/16")}).askNoProxy(); err != nil {
			t.Fatal(err)
		}
		for url, want := range map[string]bool{"https://10.118.0.1:6443": false, "https://10.118.0.1:9000": false, "https://deb.debian.org": true, "https://mirror.example.com": os.Getenv(asked) == "proxied"} {
			request := httptest.NewRequest("GET", url, nil)
			proxy, err := http.ProxyFromEnvironment(request)
			if err != nil || (proxy != nil) != want {
				t.Errorf("%s by %v, %v", url, proxy, err)
			}
		}
		return
	}
	for name, environment := range map[string][]string{
		"nothing said":     {asked + "=proxied"},
		"something said":   {asked + "=direct", "NO_PROXY=mirror.example.com"},
		"in small letters": {asked + "=direct", "no_proxy=mirror.example.com"},
		"the same again":   {asked + "=direct", "NO_PROXY=10.118.0.0/16,mirror.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			again := exec.Command(os.Args[0], "-test.run", "^TestNoProxyIsAskedForTheCluster$")
			again.Env = append([]string{"HTTPS_PROXY=http://proxy:3128", "TMPDIR=" + t.TempDir()}, environment...)
			if output, err := again.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
		})
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
