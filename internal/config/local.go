package config

import (
	"net"
	"net/netip"
	"strconv"
)

// Local holds the settings of the provider on this machine.
type Local struct {
	// Nodes is how many nodes the cluster begins with.
	Nodes int `yaml:"nodes"`
	// Size is what a node offers to pods, as "s-2vcpu-4gb"; empty offers all
	// that the machine has.
	Size string `yaml:"size"`
	// HTTP and HTTPS are the addresses that the ingress listens on.
	HTTP  string `yaml:"http"`
	HTTPS string `yaml:"https"`
	// Network is a private IPv4 /16 for nodes, pods and services.
	Network string `yaml:"network"`
}

func (c *Config) validateLocal(m *mistakes) {
	if c.Local.Nodes < 1 {
		m.add("local.nodes", "must be 1 or more; it is %d", c.Local.Nodes)
	}
	if c.Local.Size != "" {
		if _, err := ParseSize(c.Local.Size); err != nil {
			m.add("local.size", "%v", err)
		}
	}
	checkAddress(m, "local.http", c.Local.HTTP)
	checkAddress(m, "local.https", c.Local.HTTPS)
	if c.Local.HTTP == c.Local.HTTPS {
		m.add("local.https", "must be another address than http")
	}
	network, err := netip.ParsePrefix(c.Local.Network)
	if err != nil || network.Bits() != 16 || network.Masked() != network || !network.Addr().Is4() || !network.Addr().IsPrivate() {
		m.add("local.network", "must be a private IPv4 /16 like 10.118.0.0/16; it is %q", c.Local.Network)
	}
}

func checkAddress(m *mistakes, at, address string) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.Atoi(port)
	_, hostErr := netip.ParseAddr(host)
	if err != nil || portErr != nil || hostErr != nil || number < 1 || number > 65535 {
		m.add(at, "must be an IP address and a port like 127.0.0.1:8080; it is %q", address)
	}
}
