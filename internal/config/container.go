package config

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources are what each pod is given, as Kubernetes' quantities. Empty ones
// take the chart's.
type Resources struct {
	// CPU is requested, not limited: an idle node's CPU is there for all.
	CPU string `yaml:"cpu"`
	// Memory is both requested and the limit.
	Memory string `yaml:"memory"`
}

// Writable are the paths that the application may write to besides its
// volumes. Without any, the root file system is writable, as in Docker. With
// some, the root file system is read-only and each path is a scratch volume
// of the pod; [Root] makes all of it writable.
type Writable []string

// Root is the path of the whole file system.
const Root = "/"

// UnmarshalYAML reads true as the whole file system, and false as nothing.
func (w *Writable) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		*w = Writable{}
		return node.Decode((*[]string)(w))
	}
	var all bool
	if err := node.Decode(&all); err != nil {
		return err
	}
	*w = Writable{}
	if all {
		*w = Writable{Root}
	}
	return nil
}

func (Writable) scalar(node *yaml.Node) string {
	if node.Tag == "!!bool" {
		return ""
	}
	return "a list of paths, or true or false"
}

// All reports whether the whole root file system is writable.
func (w Writable) All() bool { return w == nil || slices.Contains(w, Root) }

// Volume is a folder whose files outlive the pods. All pods of an environment
// share it.
type Volume struct {
	// Path where the application finds it.
	Path string `yaml:"path"`
	// Size as a quantity of Kubernetes', like 5Gi.
	Size string `yaml:"size"`
}

// mostCPUs is more than a pod can have; 500 is meant as 500m.
const mostCPUs = 256

func (c *Config) validateResources(m *mistakes, at string, r Resources) {
	if r.CPU != "" {
		if q, err := resource.ParseQuantity(r.CPU); err != nil || q.Sign() <= 0 || q.MilliValue() > mostCPUs*1000 {
			m.add(at+".cpu", "must be CPUs, like 2, 0.5 or 250m for a quarter; it is %q", r.CPU)
		}
	}
	if r.Memory != "" {
		// 512m is half a byte, and nobody means it.
		if q, err := resource.ParseQuantity(r.Memory); err != nil || q.Value() < 4<<20 {
			m.add(at+".memory", "must be a size of at least 4Mi, like 256Mi or 2Gi; it is %q", r.Memory)
		}
	}
}

// containerUser is a uid, or a uid and a gid. Kubernetes takes no names.
var containerUser = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})(:(0|[1-9][0-9]{0,9}))?$`)

func (c *Config) validateUser(m *mistakes) {
	if c.User == "" {
		return
	}
	valid := containerUser.MatchString(c.User)
	for id := range strings.SplitSeq(c.User, ":") {
		if number, err := strconv.ParseInt(id, 10, 64); err != nil || number > 1<<31-1 {
			valid = false
		}
	}
	if strings.HasPrefix(c.User+":", "0:") {
		m.add("user", "must not be 0: leave it out, and the image's own user is taken, which may be root")
		return
	}
	if !valid {
		m.add("user", "must be a uid, or a uid and a gid, like 1000 or 1000:1000 (id -u in the image tells it); it is %q", c.User)
	}
}

// validatePaths looks at all that is mounted into a container: no two of them
// can be at one place, and none below another.
func (c *Config) validatePaths(m *mistakes) {
	taken := map[string]string{}
	for _, name := range c.EnvironmentNames() {
		if c.Environments[name].Database == SQLite {
			taken["/data"] = "the SQLite database"
		}
		if c.Environments[name].UpstreamTLS {
			taken["/tls"] = "the certificate of upstreamTLS"
		}
	}
	check := func(at, mount, what string) {
		if !path.IsAbs(mount) || path.Clean(mount) != mount || mount == Root || strings.ContainsAny(mount, ":\x00") {
			m.add(at, "must be an absolute path below / without a slash at its end; it is %q", mount)
			return
		}
		for _, other := range slices.Sorted(maps.Keys(taken)) {
			if mount == other || strings.HasPrefix(mount, other+"/") || strings.HasPrefix(other, mount+"/") {
				m.add(at, "must not overlap with %s, where %s is", other, taken[other])
			}
		}
		taken[mount] = what
	}
	for _, name := range slices.Sorted(maps.Keys(c.Volumes)) {
		at, volume := "volumes."+name, c.Volumes[name]
		switch _, service := c.Services[name]; {
		case service:
			m.add(at, "is the name of a service already")
		case name == "data" && taken["/data"] != "":
			m.add(at, "the name is that of the SQLite database's volume")
		default:
			c.validateObject(m, at, name)
		}
		check(at+".path", volume.Path, "the volume "+name)
		if q, err := resource.ParseQuantity(volume.Size); err != nil || q.Value() < 1<<20 {
			m.add(at+".size", "must be a size of at least 1Mi, like 5Gi; it is %q", volume.Size)
		}
	}
	for i, mount := range c.Writable {
		at := fmt.Sprintf("writable[%d]", i)
		if mount == Root && len(c.Writable) == 1 {
			continue
		}
		check(at, mount, "another writable path")
	}
}
