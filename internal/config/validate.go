package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxName leaves room for what the charts and Kubernetes append to the name of
// the application, within the 63 characters of a DNS label.
const maxName = 40

// imageReference is what the references of images are made of, without their
// finer grammar: enough to keep a typing error from travelling further.
var imageReference = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._/:@-]*$`)

// Validate reports every mistake in one error. [Load] has called it; who
// changes a field afterwards calls it again.
func (c *Config) Validate() error {
	m := &mistakes{lines: c.lines}
	c.validateApplication(m)
	for _, name := range c.EnvironmentNames() {
		c.validateEnvironment(m, name, c.Environments[name])
	}
	c.validateHosts(m)
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

func (c *Config) validateApplication(m *mistakes) {
	if problems := validation.IsDNS1035Label(c.Name); len(problems) > 0 {
		m.add("name", "must be a DNS label, lower-case letters, digits and dashes beginning with a letter; it is %q", c.Name)
	} else if len(c.Name) > maxName {
		m.add("name", "must have at most %d characters; it has %d", maxName, len(c.Name))
	}
	if !slices.Contains(Providers, c.Provider) {
		m.add("provider", "must be one of %s; it is %q", strings.Join(Providers, ", "), c.Provider)
	}
	switch {
	case c.Image == "" && c.Dockerfile == "":
		m.add("dockerfile", "must name a Dockerfile, or image a built image")
	case c.Image != "" && c.Dockerfile != "":
		m.add("image", "must be left out where there is a dockerfile, as only one of them can be released")
	case c.Image != "" && !imageReference.MatchString(c.Image):
		m.add("image", "must be a reference like ghcr.io/me/app:1.0; it is %q", c.Image)
	}
	for key, path := range map[string]string{"dockerfile": c.Dockerfile, "context": c.Context} {
		if filepath.IsAbs(path) {
			m.add(key, "must be relative to the folder of %s; it is %q", File, path)
		}
	}
	if c.Port < 1 || c.Port > 65535 {
		m.add("port", "must be 1 to 65535; it is %d", c.Port)
	}
	if !strings.HasPrefix(c.Health, "/") || strings.ContainsAny(c.Health, " ?#\"\\") {
		m.add("health", "must be a path that begins with /; it is %q", c.Health)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if !isVariable(name) {
			m.add("env."+name, "must be the name of an environment variable")
		}
	}
	for i, name := range c.Secrets {
		at := fmt.Sprintf("secrets[%d]", i)
		_, plain := c.Env[name]
		switch {
		case !isVariable(name):
			m.add(at, "must be the name of an environment variable; it is %q", name)
		case plain:
			m.add(at, "%s is in env already", name)
		case slices.Contains(c.Secrets[:i], name):
			m.add(at, "%s is named twice", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Images)) {
		if !imageReference.MatchString(c.Images[name]) {
			m.add("images."+name, "must be a reference like ghcr.io/me/backup:1.0; it is %q", c.Images[name])
		}
	}
	if len(c.Environments) == 0 {
		m.add("environments", "must hold at least one, usually staging and production")
	}
}

func (c *Config) validateEnvironment(m *mistakes, name string, e Environment) {
	at := "environments." + name
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		m.add(at, "the name must be a DNS label, lower-case letters, digits and dashes")
	case name == "ingress" || name == "logging" || name == "cert-manager" || name == "default" || strings.HasPrefix(name, "kube-"):
		m.add(at, "the name is that of a namespace which is not the application's")
	}
	if len(e.Hosts) == 0 {
		m.add(at+".hosts", "must hold at least one host")
	}
	switch e.Database {
	case NoDatabase, SQLite, Postgres:
	default:
		m.add(at+".database", "must be none, sqlite or postgres; it is %q", string(e.Database))
	}
	switch {
	case e.Replicas < 1:
		m.add(at+".replicas", "must be 1 or more; it is %d", e.Replicas)
	case e.Replicas > 1 && e.Database == SQLite:
		m.add(at+".replicas", "must be 1 with sqlite, whose file takes one writer; it is %d", e.Replicas)
	}
	c.validateBackup(m, at+".backup", e)
	if e.Database != NoDatabase {
		_, plain := c.Env[databaseURL]
		if plain || slices.Contains(c.Secrets, databaseURL) {
			m.add(at+".database", "must be none where %s is in env or secrets, as the database sets it", databaseURL)
		}
	}
}

// databaseURL is how an application learns of the database that berth gives it.
const databaseURL = "DATABASE_URL"

// validateHosts looks at all environments at once: two of them cannot answer
// for one host.
func (c *Config) validateHosts(m *mistakes) {
	owner := map[string]string{}
	for _, name := range c.EnvironmentNames() {
		for i, host := range c.Environments[name].Hosts {
			at := fmt.Sprintf("environments.%s.hosts[%d]", name, i)
			if len(validation.IsDNS1123Subdomain(host)) > 0 {
				m.add(at, "must be a DNS name in lower case; it is %q", host)
			} else if first, taken := owner[host]; taken {
				m.add(at, "%s is a host of %s already", host, first)
			} else {
				owner[host] = name
			}
		}
	}
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
