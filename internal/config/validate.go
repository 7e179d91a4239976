package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Validate reports every mistake in one error. [Load] has called it; who
// changes a field afterwards calls it again.
func (c *Config) Validate() error {
	m := &mistakes{lines: c.lines}
	c.validateApplication(m)
	for _, name := range c.EnvironmentNames() {
		c.validateEnvironment(m, name, c.Environments[name])
	}
	c.validateHosts(m)
	c.validatePreviews(m)
	c.validateLogs(m)
	c.validateLocal(m)
	switch c.Provider {
	case "digitalocean":
		c.validateDigitalOcean(m)
	case "existing":
		c.validateExisting(m)
	}
	return m.err()
}

func (c *Config) validateEnvironment(m *mistakes, name string, e Environment) {
	at := "environments." + name
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		m.add(at, "the name must be a DNS label, lower-case letters, digits and dashes")
	case name == "ingress" || name == "logging" || name == "cert-manager" || name == "watch" || name == "metrics" || name == "default" || strings.HasPrefix(name, "kube-"):
		m.add(at, "the name is that of a namespace which is not the application's")
	}
	c.validateHosting(m, at, e)
	switch e.Database {
	case NoDatabase, SQLite, Postgres:
	default:
		m.add(at+".database", "must be none, sqlite or postgres; it is %q", string(e.Database))
	}
	switch {
	case e.Database != Postgres && e.DatabaseVersion != 0:
		m.add(at+".databaseVersion", "is for the database %s; this one is %q", Postgres, string(e.Database))
	case e.Database == Postgres && (e.DatabaseVersion < 13 || e.DatabaseVersion > 99):
		m.add(at+".databaseVersion", "must be a major version of PostgreSQL like %d; it is %d", PostgresVersion, e.DatabaseVersion)
	}
	c.validateBackup(m, at+".backup", e)
	c.validateVariables(m, at+".", e.Env, e.Secrets)
	for _, process := range slices.Sorted(maps.Keys(e.Processes)) {
		at := at + ".processes." + process
		switch p, known := c.Processes[process]; {
		case !known:
			m.add(at, "there is no such process; %s", suggest(process, slices.Sorted(maps.Keys(c.Processes))))
		case p.Scheduled():
			m.add(at, "is a cron job, which runs one at a time")
		case e.Processes[process] < 0:
			m.add(at, "must be 0 or more; it is %d", e.Processes[process])
		}
	}
	c.validateOwnNames(m, name)
	for _, reference := range slices.Sorted(maps.Keys(c.References)) {
		c.validateReferences(m, reference, name)
	}
}

// validateHosting looks at what an environment says of the process that
// answers requests.
func (c *Config) validateHosting(m *mistakes, at string, e Environment) {
	if c.onlyWorks() {
		for _, key := range []string{"hosts", "replicas", "upstreamTLS", "judge"} {
			if m.has(at + "." + key) {
				m.add(at+"."+key, "is of the process that answers requests: give its port at the top, or leave this out")
			}
		}
		return
	}
	if len(e.Hosts) == 0 {
		m.add(at+".hosts", "must hold at least one host")
	}
	switch {
	case e.Replicas < 1:
		m.add(at+".replicas", "must be 1 or more; it is %d", e.Replicas)
	case e.Replicas > 1 && e.Database == SQLite:
		m.add(at+".replicas", "must be 1 with sqlite, whose file takes one writer; it is %d", e.Replicas)
	}
}

// validateHosts looks at all environments at once: two of them cannot answer
// for one host.
func (c *Config) validateHosts(m *mistakes) {
	owner := map[string]string{}
	for _, name := range c.EnvironmentNames() {
		for i, host := range c.Environments[name].Hosts {
			at := fmt.Sprintf("environments.%s.hosts[%d]", name, i)
			if c.Provider == "digitalocean" && c.DigitalOcean.Certificates != NoCertificates && strings.HasPrefix(host, "*") {
				m.add(at, "must be one name where digitalocean.certificates is %s, whose challenges are for one name each; it is %q", c.DigitalOcean.Certificates, host)
			}
			if problem := notAHost(host); problem != "" {
				m.add(at, "%s; it is %q", problem, host)
			} else if first, taken := owner[host]; taken {
				m.add(at, "%s is a host of %s already", host, first)
			} else {
				owner[host] = name
			}
		}
	}
}

// notAHost says what a host must be that an Ingress does not take; "" where it does.
func notAHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && ascii != strings.ToLower(host) {
		return "must be a DNS name in ASCII, which is " + ascii
	}
	valid := len(validation.IsDNS1123Subdomain(host)) == 0
	if strings.HasPrefix(host, "*") {
		valid = len(validation.IsWildcardDNS1123Subdomain(host)) == 0
	}
	_, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		return "must be a DNS name, not an address"
	case strings.ContainsAny(host, ":/"):
		return "must be a name alone, without scheme, port and path"
	case !valid:
		return "must be a DNS name in lower case, or all names below one like *.shop.example"
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			return "must have at most 63 characters between two dots"
		}
	}
	return ""
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

func (c *Config) validateExisting(m *mistakes) {
	e := c.Existing
	if e.Kubeconfig == "" {
		m.add("existing.kubeconfig", "must name the kubeconfig file of the cluster")
	}
	if e.Context == "" {
		m.add("existing.context", "must name a context of the kubeconfig: berth never takes the current one")
	}
	switch {
	case e.Registry == "" && c.Image == "":
		m.add("existing.registry", "must say where built images go, like ghcr.io/me")
	case e.Registry != "" && !imageReference.MatchString(e.Registry):
		m.add("existing.registry", "must be a registry with an optional path, like ghcr.io/me; it is %q", e.Registry)
	}
	if (e.Bucket.Name == "") != (e.Bucket.Endpoint == "") {
		m.add("existing.bucket", "must have both a name and an endpoint, or neither")
	}
	if strings.Contains(e.Bucket.Endpoint, "/") && !strings.HasPrefix(e.Bucket.Endpoint, "https://") && !strings.HasPrefix(e.Bucket.Endpoint, "http://") {
		m.add("existing.bucket.endpoint", "must be a host, or a URL that begins with https:// or http://; it is %q", e.Bucket.Endpoint)
	}
}
