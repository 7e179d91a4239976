package main

import (
	"net"

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

// splitAddress splits what package config has checked.
func splitAddress(address string) (ip, port string) {
	ip, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, "443"
	}
	return ip, port
}
