package local

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// space is a network namespace of its own: another machine, or a pod, as far as
// networks go. It ends with the test.
type space struct{ work chan func() }

func newSpace(t *testing.T) *space {
	t.Helper()
	s := newThread(t, func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	s.in(t, func() error { return up("lo") })
	return s
}

// twin is the same namespace, for work beside other work.
func (s *space) twin(t *testing.T) *space {
	t.Helper()
	there := s.open(t)
	defer there.Close()
	return newThread(t, func() error { return unix.Setns(int(there.Fd()), unix.CLONE_NEWNET) })
}

func newThread(t *testing.T, enter func() error) *space {
	t.Helper()
	s := &space{make(chan func())}
	began := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends
		began <- enter()
		for work := range s.work {
			work()
		}
	}()
	if err := <-began; err != nil {
		t.Fatalf("enter a network namespace, which takes root: %v", err)
	}
	t.Cleanup(func() { close(s.work) })
	return s
}

func (s *space) open(t *testing.T) (file *os.File) {
	t.Helper()
	s.in(t, func() (err error) { file, err = os.Open("/proc/thread-self/ns/net"); return err })
	return file
}

// in runs something in the namespace; so does what it starts.
func (s *space) in(t *testing.T, work func() error) {
	t.Helper()
	done := make(chan error)
	s.work <- func() { done <- work() }
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (s *space) run(t *testing.T, script string) string {
	t.Helper()
	var output []byte
	s.in(t, func() (err error) {
		if output, err = exec.Command("sh", "-euc", script).CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s: %s", err, script, output)
		}
		return err
	})
	return string(output)
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// join makes a pair of interfaces: name in this namespace, eth0 in the other.
func (s *space) join(t *testing.T, name string, other *space) {
	t.Helper()
	there := other.open(t)
	defer there.Close()
	s.in(t, func() error {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(there.Fd())}
		if err := netlink.LinkAdd(pair); err != nil {
			return err
		}
		return up(name)
	})
	other.in(t, func() error { return up("eth0") })
}

// serve answers "hello" at an address, by TCP and by UDP.
func (s *space) serve(t *testing.T, address string) {
	t.Helper()
	s.in(t, func() error {
		tcp, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		udp, err := net.ListenPacket("udp4", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { tcp.Close(); udp.Close() })
		go func() {
			for {
				connection, err := tcp.Accept()
				if err != nil {
					return
				}
				io.WriteString(connection, "hello") //nolint:errcheck // who asked will miss it
				connection.Close()
			}
		}()
		go func() {
			for {
				_, from, err := udp.ReadFrom(make([]byte, 10))
				if err != nil {
					return
				}
				udp.WriteTo([]byte("hello"), from) //nolint:errcheck // as above
			}
		}()
		return nil
	})
}

// reaches reports whether an address answers.
func (s *space) reaches(t *testing.T, network, address string) bool {
	t.Helper()
	ok := false
	s.in(t, func() error {
		const patience = 700 * time.Millisecond
		connection, err := net.DialTimeout(network, address, patience)
		if err != nil {
			return nil
		}
		defer connection.Close()
		connection.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // of a fresh connection
		if network == "udp" {
			io.WriteString(connection, "hi") //nolint:errcheck // nobody will answer
		}
		answer := make([]byte, 5)
		_, err = io.ReadFull(connection, answer)
		ok = err == nil && string(answer) == "hello"
		return nil
	})
	return ok
}

// testNetwork is a machine with a cluster's network, two pods as the ptp plugin
// joins them, and a neighbour that sends it what is for the cluster.
type testNetwork struct {
	network
	machine, pod, other, neighbour *space
}

func newTestNetwork(t *testing.T) *testNetwork {
	t.Helper()
	w := &testNetwork{network{netip.MustParsePrefix("10.118.0.0/16")}, newSpace(t), newSpace(t), newSpace(t), newSpace(t)}
	w.machine.run(t, "echo 1 >/proc/sys/net/ipv4/ip_forward")
	for i, pod := range []*space{w.pod, w.other} {
		w.machine.join(t, fmt.Sprintf("veth%d", i), pod)
		address := fmt.Sprintf("10.118.1.%d", 5+i)
		w.machine.run(t, fmt.Sprintf("ip address add 10.118.1.1/32 dev veth%d; ip route add %s/32 dev veth%d scope host", i, address, i))
		pod.run(t, fmt.Sprintf("ip address add %s/32 dev eth0; ip route add 10.118.1.1 dev eth0 scope link; ip route add default via 10.118.1.1", address))
		pod.serve(t, address+":8000")
	}
	w.machine.join(t, "lan", w.neighbour)
	w.machine.run(t, "ip address add 192.168.77.1/24 dev lan")
	w.neighbour.run(t, "ip address add 192.168.77.2/24 dev eth0; ip route add 10.118.0.0/16 via 192.168.77.1")
	w.neighbour.serve(t, "192.168.77.2:80")
	return w
}

func (w *testNetwork) up(t *testing.T) {
	t.Helper()
	w.machine.in(t, func() error { return w.network.up(t.Context(), []int{1}) })
}

func (w *testNetwork) serve(t *testing.T) {
	t.Helper()
	for _, address := range []string{"10.118.0.1:9000", "10.118.0.1:6443", "10.118.0.1:20500", "10.118.0.2:53", "10.118.0.11:10250", "10.118.0.11:10254", "10.118.0.1:5000"} {
		w.machine.serve(t, address)
	}
}

var counters = regexp.MustCompile(`packets \d+ bytes \d+`)

func (w *testNetwork) rules(t *testing.T) string {
	t.Helper()
	return counters.ReplaceAllString(w.machine.run(t, "nft list ruleset"), "counter")
}
