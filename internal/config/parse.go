package config

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"

	"berth/internal/fault"
)

// parse reads berth.yaml strictly: a key that berth does not know, a key
// written twice or a value of the wrong kind is an error that names its line.
// It fills in the defaults and leaves the values' meaning to [Config.Validate].
func parse(source []byte) (*Config, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(source, err)
	}
	if err := decoder.Decode(new(yaml.Node)); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(source, err)
	} else if err == nil {
		return nil, fault.Usage("%s holds more than one YAML document", File)
	}

	c := &Config{lines: map[string]int{}, zeros: map[string]bool{}}
	found := shape{mistakes{lines: c.lines}, c.zeros}
	if len(document.Content) == 0 {
		return nil, fault.Usage("%s is empty", File)
	}
	root := document.Content[0]
	found.merge(root)
	found.walk(root, reflect.TypeFor[Config](), "")
	if err := found.err(); err != nil {
		return nil, err
	}
	if err := root.Decode(c); err != nil {
		return nil, fault.Usage("%s: %w", File, err)
	}
	if environments := child(root, "environments"); environments != nil {
		for i := 0; i+1 < len(environments.Content); i += 2 {
			c.order = append(c.order, environments.Content[i].Value)
		}
	}
	c.setDefaults()
	return c, nil
}

// setDefaults fills in what berth.yaml left out.
func (c *Config) setDefaults() {
	fill(&c.Provider, "local")
	fill(&c.Context, ".")
	if !c.onlyWorks() {
		fill(&c.Health.Path, "/")
		fill(&c.Health.Timeout, Duration(3*time.Second))
	}
	if len(c.Release.Command) > 0 {
		fill(&c.Release.Timeout, Duration(10*time.Minute))
	}
	for name, p := range c.Processes {
		if p.Scheduled() {
			fill(&p.TimeZone, "Etc/UTC")
			fill(&p.Deadline, Duration(24*time.Hour))
			p.Replicas = 0
		}
		c.Processes[name] = p
	}
	for name, v := range c.Volumes {
		fill(&v.Size, "1Gi")
		c.Volumes[name] = v
	}
	fill(&c.Local.HTTP, "127.0.0.1:8080")
	fill(&c.Local.HTTPS, "127.0.0.1:8443")
	fill(&c.Local.Network, "10.118.0.0/16")
	c.fillNumber("local.nodes", &c.Local.Nodes, 1)
	fill(&c.Existing.IngressClass, "nginx")
	c.fillNumber("digitalocean.nodes", &c.DigitalOcean.Nodes, 2)
	c.DigitalOcean.setDefaults(c.Name)
	for name, e := range c.Environments {
		fill(&e.Database, NoDatabase)
		if e.Database == Postgres {
			c.fillNumber("environments."+name+".databaseVersion", &e.DatabaseVersion, PostgresVersion)
		}
		if !c.onlyWorks() {
			c.fillNumber("environments."+name+".replicas", &e.Replicas, 1)
		}
		e.Backup.setDefaults(e.Database)
		c.Environments[name] = e
	}
	c.Previews.setDefaults(c)
}

// child returns the value of a mapping's key, or nil.
func child(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}
