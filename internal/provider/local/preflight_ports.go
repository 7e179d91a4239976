package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/internal/provider"
)

// checkPorts looks whether berth can listen where it wants to, and says who
// does already. The cluster's own addresses are not there yet: in their way is
// who listens on all addresses.
func (p *Provider) checkPorts() provider.Check {
	c := provider.Check{Name: "ports"}
	var problems, remedies []string
	look := func(network, address string, options net.ListenConfig, remedy string) {
		err := tryListen(network, address, options)
		if err == nil {
			return
		}
		problem := address + ": " + listenProblem(err)
		if parsed, perr := netip.ParseAddrPort(address); perr == nil {
			if who := listener(network, parsed); who != "" {
				problem = fmt.Sprintf("%s is taken by %s", address, who)
			}
		}
		problems = append(problems, problem)
		if !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	look("tcp", p.config.HTTP, net.ListenConfig{}, "name another address in berth.yaml: local: {http: "+otherPort(p.config.HTTP)+"}")
	look("tcp", p.config.HTTPS, net.ListenConfig{}, "name another address in berth.yaml: local: {https: "+otherPort(p.config.HTTPS)+"}")
	for _, port := range []int{etcdPort, etcdPeerPort, managerPort, schedulerPort, proxyPort, proxyHealth, ingressStatus} {
		look("tcp", fmt.Sprintf("127.0.0.1:%d", port), net.ListenConfig{}, "end what listens on berth's own ports (sudo ss -ltnp shows it)")
	}
	// IP_FREEBIND takes an address that is not there.
	free := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) }); failed != nil {
			return failed
		}
		return err
	}}
	for _, own := range p.ownAddresses() {
		look("tcp", own.String(), free, everywhere)
		if own.Port() == dnsPort {
			look("udp", own.String(), free, everywhere)
		}
	}
	c.Problem, c.Remedy = strings.Join(problems, ", "), strings.Join(remedies, "; ")
	return c
}

const everywhere = "let it listen on addresses of its own, 127.0.0.1 say, and not on all of them, or end it"

// ownAddresses are where the cluster listens in its own network.
func (p *Provider) ownAddresses() []netip.AddrPort {
	all := []netip.AddrPort{
		netip.AddrPortFrom(p.network.api(), apiPort),
		netip.AddrPortFrom(p.network.api(), bucketPort),
		netip.AddrPortFrom(p.network.api(), registryPort),
		netip.AddrPortFrom(p.network.api(), metricsPort),
		netip.AddrPortFrom(p.network.dns(), dnsPort),
	}
	for _, port := range []uint16{kubeletPort, kubeletHealth} { // a program that takes one node's takes all nodes'
		all = append(all, netip.AddrPortFrom(p.network.node(1), port))
	}
	return all
}

// tryListen is an error when nobody can listen at an address.
func tryListen(network, address string, options net.ListenConfig) error {
	var socket io.Closer
	var err error
	if network == "udp" {
		socket, err = options.ListenPacket(context.Background(), network, address)
	} else {
		socket, err = options.Listen(context.Background(), network, address)
	}
	if err != nil {
		return err
	}
	return socket.Close()
}

func listenProblem(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "in use"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "this machine has no such address"
	case errors.Is(err, unix.EACCES):
		return "a port that only root may listen on"
	}
	return err.Error()
}

// otherPort suggests an address beside one that is taken.
func otherPort(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return address
	}
	if number < 1024 {
		return net.JoinHostPort(host, strconv.Itoa(8000+number))
	}
	return net.JoinHostPort(host, strconv.Itoa(number+10))
}
