package config

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the time zones, on any machine

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// maxName leaves room for what the charts and Kubernetes append to the name
	// of the application, within the 63 characters of a DNS label.
	maxName = 40
	// maxObject is the longest name of a CronJob, which appends a time to it.
	maxObject = 52
	// mostCPUs is more than a pod can have; 500 is meant as 500m.
	mostCPUs = 256
)

var (
	// imageReference is what a registry with a path is made of.
	imageReference = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._/:@-]*$`)
	platform       = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`)
	stage          = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)
	// containerUser is a uid, or a uid and a gid. Kubernetes takes no names.
	containerUser = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})(:(0|[1-9][0-9]{0,9}))?$`)
)

// reserved are names of objects that the charts make for every application.
var reserved = []string{"web", "release", "postgresql", "env", "tls", "upstream", "backup"}

func (c *Config) validateApplication(m *mistakes) {
	if problems := validation.IsDNS1035Label(c.Name); len(problems) > 0 {
		m.add("name", "must be a DNS label, lower-case letters, digits and dashes beginning with a letter; it is %q", c.Name)
	} else if len(c.Name) > maxName {
		m.add("name", "must have at most %d characters; it has %d", maxName, len(c.Name))
	}
	if !slices.Contains(Providers, c.Provider) {
		m.add("provider", "must be one of %s; it is %q", strings.Join(Providers, ", "), c.Provider)
	}
	c.validateImage(m)
	c.validateWeb(m)
	c.validateResources(m, "resources", c.Resources)
	c.validateUser(m)
	c.validatePaths(m)
	c.validateVariables(m, "", c.Env, c.Secrets)
	if m.has("release") {
		checkCommand(m, "release.command", c.Release.Command)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Processes)) {
		c.validateProcess(m, name, c.Processes[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		at := "services." + name
		c.validateObject(m, at, name)
		if _, taken := c.Processes[name]; taken {
			m.add(at, "is the name of a process already")
		}
		if !slices.Contains(ServiceKinds, c.Services[name]) {
			m.add(at, "must be %s, which clients of Redis speak to; it is %q", strings.Join(ServiceKinds, " or "), c.Services[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Images)) {
		if problem := NotAnImage(c.Images[name]); problem != "" {
			m.add("images."+name, "must be a reference like ghcr.io/me/backup:1.0: %s; it is %q", problem, c.Images[name])
		}
	}
	if len(c.Environments) == 0 {
		m.add("environments", "must hold at least one, usually staging and production")
	}
}

// NotAnImage says why the reference of an image is none; "" where it is one.
func NotAnImage(image string) string {
	_, err := reference.ParseNormalizedNamed(image)
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "invalid reference format: ")
}

func (c *Config) validateImage(m *mistakes) {
	switch {
	case c.Image == "" && c.Dockerfile == "":
		m.add("dockerfile", "must name a Dockerfile, or image a built image")
	case c.Image != "" && c.Dockerfile != "":
		m.add("image", "must be left out where there is a dockerfile, as only one of them can be released")
	case c.Image != "" && NotAnImage(c.Image) != "":
		m.add("image", "must be a reference like ghcr.io/me/app:1.0: %s; it is %q", NotAnImage(c.Image), c.Image)
	case c.Image != "" && m.has("build"):
		m.add("build", "must be left out where there is an image, as nothing is built")
	}
	for key, path := range map[string]string{"dockerfile": c.Dockerfile, "context": c.Context} {
		if filepath.IsAbs(path) {
			m.add(key, "must be relative to the folder of %s; it is %q", File, path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Build.Args)) {
		if !isVariable(name) {
			m.add("build.args."+name, "must be the name of an ARG: letters, digits and _")
		}
	}
	checkNames(m, "build.secrets", c.Build.Secrets)
	if c.Build.Target != "" && !stage.MatchString(c.Build.Target) {
		m.add("build.target", "must be the name of a stage of the Dockerfile; it is %q", c.Build.Target)
	}
	if c.Build.Platform != "" && !platform.MatchString(c.Build.Platform) {
		m.add("build.platform", "must be a platform like linux/amd64; it is %q", c.Build.Platform)
	}
}

// validateWeb looks at the process that answers requests, or at what is left
// of it where there is none.
func (c *Config) validateWeb(m *mistakes) {
	if c.onlyWorks() {
		for _, key := range []string{"command", "health", "judge"} {
			if m.has(key) {
				m.add(key, "is of the process that answers requests: give its port too, or leave out both")
			}
		}
		return
	}
	if c.Port < 1 || c.Port > 65535 {
		m.add("port", "must be 1 to 65535; it is %d", c.Port)
	}
	if m.has("command") {
		checkCommand(m, "command", c.Command)
	}
	h := c.Health
	at := "health"
	if m.has("health.path") {
		at = "health.path"
	}
	switch {
	case strings.Contains(h.Path, "://"):
		m.add(at, "must be the path alone, like /up; it is %q", h.Path)
	case strings.ContainsAny(h.Path, "?#"):
		m.add(at, "must be a path without a query; it is %q", h.Path)
	case !strings.HasPrefix(h.Path, "/") || strings.ContainsAny(h.Path, " \"\\"):
		m.add(at, "must be a path that begins with /; it is %q", h.Path)
	}
	if h.Host != "" && len(validation.IsDNS1123Subdomain(h.Host)) > 0 {
		m.add("health.host", "must be a DNS name in lower case; it is %q", h.Host)
	}
	if time.Duration(h.Timeout) > time.Minute {
		m.add("health.timeout", "must be at most 1m; it is %s", h.Timeout)
	}
	if m.has("health.status") && (h.Status < 200 || h.Status > 599) {
		m.add("health.status", "must be 200 to 599; it is %d", h.Status)
	}
}

func (c *Config) validateProcess(m *mistakes, name string, p Process) {
	at := "processes." + name
	if name == "web" {
		m.add(at, "is the process that has the port: its command, health and env stand at the top of the file")
	} else {
		c.validateObject(m, at, name)
	}
	checkCommand(m, at+".command", p.Command)
	c.validateResources(m, at+".resources", p.Resources)
	c.validateVariables(m, at+".", p.Env, nil)
	if !p.Scheduled() {
		if p.Replicas < 0 {
			m.add(at+".replicas", "must be 0 or more; it is %d", p.Replicas)
		}
		for _, key := range []string{"timeZone", "deadline"} {
			if m.has(at + "." + key) {
				m.add(at+"."+key, "must be left out where there is no schedule")
			}
		}
		return
	}
	if m.has(at + ".replicas") {
		m.add(at+".replicas", "must be left out where there is a schedule: a cron job runs one at a time")
	}
	if problem := notASchedule(p.Schedule); problem != "" {
		m.add(at+".schedule", "must be five fields of cron like \"0 3 * * *\"; %s", problem)
	}
	// "Local" would be the zone of whatever machine berth runs on.
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "Local" {
		m.add(at+".timeZone", "must be a time zone like Europe/Berlin; it is %q", p.TimeZone)
	}
}

// validateObject looks at a name that objects of Kubernetes are called after,
// behind the application's.
func (c *Config) validateObject(m *mistakes, at, name string) {
	switch {
	case len(validation.IsDNS1035Label(name)) > 0:
		m.add(at, "the name must be a DNS label, lower-case letters, digits and dashes beginning with a letter")
	case slices.Contains(reserved, name):
		m.add(at, "the name is taken; %s are berth's own", strings.Join(reserved, ", "))
	case len(c.Name)+1+len(name) > maxObject:
		m.add(at, "the name must have at most %d characters; it has %d", maxObject-1-len(c.Name), len(name))
	}
}

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

// validateVariables looks at names of environment variables below a part of
// berth.yaml, "" or one that ends with a dot.
func (c *Config) validateVariables(m *mistakes, part string, env map[string]string, secrets []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := part + "env." + name
		if !isVariable(name) {
			m.add(at, "must be the name of an environment variable")
		}
		if strings.Contains(env[name], "\x00") {
			m.add(at, "must not hold a NUL byte")
		}
	}
	checkNames(m, part+"secrets", secrets)
	for i, name := range secrets {
		if _, plain := env[name]; plain {
			m.add(fmt.Sprintf("%ssecrets[%d]", part, i), "%s is in env already", name)
		}
	}
}

func checkNames(m *mistakes, at string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case !isVariable(name):
			m.add(at, "must be the name of an environment variable; it is %q", name)
		case slices.Contains(names[:i], name):
			m.add(at, "%s is named twice", name)
		}
	}
}

// IsShellWord reports whether a word of a command means something to a shell alone.
func IsShellWord(word string) bool {
	return slices.Contains([]string{"&&", "||", "|", ";", ">", ">>", "2>&1"}, word)
}

func checkCommand(m *mistakes, at string, command Command) {
	for i, word := range command {
		if i == 0 && strings.ContainsAny(word, " \t\n") {
			m.add(at, "%q is one word of a list, and no program has blanks in its name: write the command as a text, or each word by itself", word)
			return
		}
		if IsShellWord(word) {
			m.add(at, "%q is for a shell, and a list is run without one: write the command as a text", word)
			return
		}
	}
	switch {
	case len(command) == 0 || command[0] == "":
		m.add(at, `must be a list like ["python", "worker.py"], or a text that a shell runs`)
	case len(command) == 3 && command[1] == "-c" && strings.TrimSpace(command[2]) == "":
		m.add(at, "must not be empty")
	}
}
