package main

import (
	"net"

	"berth/internal/config"
	"berth/internal/provider"
)

// address is the URL at which a cluster serves a host.
func address(cluster *provider.Cluster, host string) string {
	// Without berth's own ingress the cluster's listens on the usual ports,
	// and without an issuer TLS is the affair of whatever stands before it.
	if cluster.Ingress == nil {
		if cluster.Issuer == "" && cluster.Authority == nil {
			return "http://" + host
		}
		return "https://" + host
	}
	if _, port := splitAddress(cluster.Ingress.HTTPS); port != "443" {
		host = net.JoinHostPort(host, port)
	}
	return "https://" + host
}

// homeAddress is where an environment's first host answers; empty where the
// application answers no requests.
func homeAddress(c *config.Config, cluster *provider.Cluster, environment string) string {
	for _, host := range c.Environments[environment].Hosts {
		return address(cluster, config.HostBelow(host))
	}
	return ""
}

// splitAddress splits what package config has checked.
func splitAddress(address string) (ip, port string) {
	ip, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, "443"
	}
	return ip, port
}
