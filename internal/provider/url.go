package provider

import "net"

// URL is where the cluster serves a host.
func (c *Cluster) URL(host string) string {
	// The cluster's own ingress listens on the usual ports. Without an issuer, TLS is
	// up to the proxy in front of it.
	if c.Ingress == nil {
		if c.Issuer == "" && c.Authority == nil {
			return "http://" + host
		}
		return "https://" + host
	}
	if _, port := c.Ingress.TLS(); port != "443" {
		host = net.JoinHostPort(host, port)
	}
	return "https://" + host
}

// TLS splits the address of HTTPS, which package config has checked.
func (i *Ingress) TLS() (ip, port string) {
	ip, port, err := net.SplitHostPort(i.HTTPS)
	if err != nil {
		return i.HTTPS, "443"
	}
	return ip, port
}
