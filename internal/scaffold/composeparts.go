package scaffold

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// takeCompose takes the services that run the application's image, once the
// Dockerfile is known.
func (d *Draft) takeCompose() error {
	c := d.compose
	if c == nil || c.main == "" {
		return nil
	}
	main := c.services[c.main]
	d.onlyWorks = d.onlyWorks || !d.procfile && d.Port == 0 && basePort(d.docker.base) == 0 &&
		portOf(d.docker.after(Command{List: main.Command})) == 0 && !webName.MatchString(c.main)
	for _, name := range c.parts {
		s := c.services[name]
		c.takeFiles(name, s)
		switch {
		case d.procfile:
			if name != c.main {
				c.note(c.file, "service %s: the Procfile says what runs", name)
			}
		case name == c.main && !d.onlyWorks:
			c.takeMain(s)
		default:
			c.takeProcess(name, s)
		}
	}
	c.sayWhatIsMissing()
	// What the others have beside the main service's is their own.
	c.takeEnvironment(main, d.Env)
	for _, name := range c.parts {
		if name == c.main {
			continue
		}
		own := map[string]string{}
		c.takeEnvironment(c.services[name], own)
		if p, ok := d.Processes[name]; ok {
			for variable, value := range own {
				if known, ok := d.Env[variable]; ok && known == value {
					delete(own, variable)
				}
			}
			p.Env = own
			d.Processes[name] = p
		}
	}
	return nil
}

var migration = regexp.MustCompile(`(?i)\bmigrate\b|db:(prepare|migrate)|upgrade head|db upgrade|migrate:deploy|migrate deploy`)

func (c *compose) takeMain(s types.ServiceConfig) {
	c.Command = c.commandOf(c.main, s)
	text := strings.Join(s.Command, " ")
	if migration.MatchString(text) && strings.ContainsAny(text, "&;") {
		c.note(c.file, "service %s: its command migrates the database at each start of each replica; move that under release", c.main)
	}
	own := c.docker.command()
	switch server := developmentServer.FindString(text); {
	case server != "" && !own.IsZero() && !developmentServer.MatchString(own.String()), c.otherTarget && server == "" && len(s.Command) > 0 && !own.IsZero():
		c.Command = Command{}
		c.note(c.file, "service %s: its command is for development and left out: the image's own runs (%.60s)", c.main, own)
	case server != "":
		c.note(c.file, "service %s: its command looks like a server for development (%s)", c.main, server)
	case len(s.Command) == 0 && developmentServer.MatchString(own.String()):
		c.note(c.Dockerfile, "its command looks like a server for development (%s): command, in berth.yaml, names another", developmentServer.FindString(own.String()))
	}
	if s.Deploy != nil || s.Scale != nil {
		fill(&c.Replicas, max(0, s.GetScale()))
	}
	c.takeLimits(s)
}

var developmentServer = regexp.MustCompile(`manage\.py runserver|--reload\b|\b(npm|yarn|pnpm|bun)( run)? (start:)?(dev|develop|watch)\b|\b(next|vite|nuxt|nuxi|astro|strapi) dev(elop)?\b|nodemon|flask run|--debug\b|\bair\b|artisan serve|rails (s|server).* -e dev`)

// takeLimits takes memory as the limit and CPU as the request, as berth does.
func (c *compose) takeLimits(s types.ServiceConfig) {
	memory := s.MemLimit
	if s.Deploy != nil {
		if limits := s.Deploy.Resources.Limits; limits != nil {
			memory = max(memory, limits.MemoryBytes)
		}
		if reserved := s.Deploy.Resources.Reservations; reserved != nil {
			if cpus := reserved.NanoCPUs.Value(); cpus > 0 {
				c.CPU = fmt.Sprintf("%dm", int(cpus*1000+0.5))
			}
			if len(reserved.Devices) > 0 {
				c.note(c.file, "service %s: devices: there are no GPUs", s.Name)
			}
		}
	}
	if memory >= 4<<20 {
		c.Memory = fmt.Sprintf("%dMi", int64(memory)>>20)
	}
}

func (c *compose) takeProcess(name string, s types.ServiceConfig) {
	command := c.commandOf(name, s)
	if command.IsZero() {
		command = c.docker.command()
	}
	switch {
	case command.IsZero():
		c.note(c.file, "service %s has no command, and the Dockerfile names none: write it under processes", name)
	case name != c.main && c.isRelease(name, s):
		if !c.Release.IsZero() {
			c.note(c.file, "service %s: a release has one command, and another service has it", name)
			return
		}
		c.Release = command
	case name != c.main && s.Restart == types.RestartPolicyNo:
		c.note(c.file, "service %s is left out, because it ends by itself (restart: no): it is run by hand, with berth run ENV -- %s", name, command)
	default:
		if len(s.Ports) > 0 {
			c.note(c.file, "service %s: only %s answers requests, so its ports are left out", name, c.main)
		}
		c.Processes[name] = Process{Command: command, Replicas: max(0, s.GetScale())}
	}
}

// isRelease reports whether a service is what others wait for to have ended.
func (c *compose) isRelease(name string, s types.ServiceConfig) bool {
	for _, other := range c.services {
		if on, ok := other.DependsOn[name]; ok && on.Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	once := s.Restart == "" || s.Restart == types.RestartPolicyNo || strings.HasPrefix(s.Restart, types.RestartPolicyOnFailure)
	return once && len(s.Ports) == 0 && releaseName.MatchString(name)
}

// commandOf returns a service's own command; none where the image's is meant.
// In berth.yaml a command stands for ENTRYPOINT and CMD together.
func (c *compose) commandOf(name string, s types.ServiceConfig) Command {
	c.noteStores(name, strings.Join(slices.Concat(s.Entrypoint, s.Command), " "))
	switch {
	case len(s.Entrypoint) > 0:
		return Command{List: slices.Concat(s.Entrypoint, s.Command)}
	case len(s.Command) == 0:
		return Command{}
	case c.docker.entrypoint.Text != "":
		c.note(c.Dockerfile, "ENTRYPOINT is a string, which ignores commands: that of service %s has no effect", name)
		return Command{}
	}
	if c.Image != "" {
		c.note(c.file, "service %s: its command replaces the image's ENTRYPOINT here: put that before it, where the image has one", name)
	}
	return c.docker.after(Command{List: forInterpreter(c.docker, s.Command)})
}

// interpreters are the images whose own ENTRYPOINT runs what is no program itself.
var interpreters = map[string]*regexp.Regexp{
	"node": regexp.MustCompile(`^-|\.[cm]?[jt]s$`), "php": regexp.MustCompile(`^-|\.php$`),
	"deno": regexp.MustCompile(`^(-.*|run|serve|task|x)$|\.[jt]s$`), "bun": regexp.MustCompile(`^(-.*|run|x|start|dev)$|\.[jt]s$`),
}

// forInterpreter puts the program before a command that the image's base would put
// there: in berth.yaml, a command stands for ENTRYPOINT too.
func forInterpreter(image dockerfile, command []string) []string {
	program := imageName(image.base)
	if form := interpreters[program]; form == nil || !image.entrypoint.IsZero() || !form.MatchString(command[0]) {
		return command
	}
	return slices.Concat([]string{program}, command)
}

// noteStores tells of commands that wait for a server by the name that it has in the
// file, which they would do for ever.
func (c *compose) noteStores(name, command string) {
	for _, store := range sorted(c.stores) {
		named := regexp.MustCompile(`(^|[\s/@='"])` + regexp.QuoteMeta(store) + `(:\d+|\s+\d{2,5})?($|[\s/'";,])`)
		if found := named.FindStringSubmatch(command); found != nil && (found[2] != "" || found[1] == "/" || found[1] == "@") {
			c.note(c.file, "service %s: its command names %s, which has another name here: $%s; berth starts the application once its database and services serve, so it need not wait for them", name, store, given[c.stores[store]][host])
		}
	}
}

var dataFolder = regexp.MustCompile(`(?i)(^|[/_-])(data|uploads?|media|storage|files|attachments)$`)

// takeFiles takes volumes. What is mounted from the folder itself is there for
// development, unless its name says that it holds data.
func (c *compose) takeFiles(name string, s types.ServiceConfig) {
	var tmpfs []string
	for _, v := range s.Volumes {
		switch {
		case v.Type == types.VolumeTypeTmpfs:
			tmpfs = append(tmpfs, v.Target)
		case v.Type == types.VolumeTypeVolume && v.Source != "":
			c.addVolume(v.Source, v.Target)
		case v.Type == types.VolumeTypeVolume:
			// One without a name lasts as long as its container: mostly it keeps what
			// the image has (node_modules) from a bind mount. Here it would begin empty.
			if dataFolder.MatchString(v.Target) {
				c.addVolume(path.Base(v.Target), v.Target)
			} else {
				c.note(c.file, "service %s: the volume at %s has no name and is left out, because it would hide the image's files", name, v.Target)
			}
		case strings.HasSuffix(v.Source, "docker.sock"):
			c.note(c.file, "service %s: %s: there is no Docker to talk to", name, v.Source)
		case v.Type == types.VolumeTypeBind && dataFolder.MatchString(v.Source):
			c.addVolume(path.Base(v.Source), v.Target)
			c.note(c.file, "service %s: %s becomes a volume, which begins empty", name, v.Source)
		case v.Type == types.VolumeTypeBind:
			c.notMounted(name, v)
		default:
			c.note(c.file, "service %s: %s: there are no mounts of type %s", name, v.Target, v.Type)
		}
	}
	for _, entry := range s.Tmpfs {
		at, _, _ := strings.Cut(entry, ":")
		tmpfs = append(tmpfs, at)
	}
	if s.ReadOnly && name == c.main {
		c.Writable = tmpfs
	}
}

// notMounted says why a file or folder is not there, in the words of what it is.
func (c *compose) notMounted(name string, v types.ServiceVolumeConfig) {
	inside := path.Clean(v.Source)
	switch {
	case path.IsAbs(v.Source) || strings.HasPrefix(v.Source, "~") || strings.HasPrefix(inside, ".."):
		c.mounts = append(c.mounts, mount{name, v.Source + " is outside of this folder, and pods get no files of the machine"})
	case strings.HasPrefix(path.Base(inside), ".env"):
		c.mounts = append(c.mounts, mount{name, v.Source + " is not mounted: what is in it comes as environment variables, from .env"})
	case c.docker.base != "" && !c.docker.filled:
		c.mounts = append(c.mounts, mount{name, fmt.Sprintf("%s is not mounted at %s, and the Dockerfile copies nothing: add COPY %s %s to it", v.Source, v.Target, inside, v.Target)})
	default:
		c.mounts = append(c.mounts, mount{name, fmt.Sprintf("%s is not mounted at %s: the image holds the application's files", v.Source, v.Target)})
	}
}

// mount is what is said of one that a service does not have.
type mount struct{ service, text string }

// sayWhatIsMissing notes what the services ask for that an application's pods
// do not get, once for all that ask for it.
func (c *compose) sayWhatIsMissing() {
	asking := map[string][]string{}
	var order []string
	for _, name := range c.parts {
		for _, text := range missing(c.services[name]) {
			if asking[text] == nil {
				order = append(order, text)
			}
			asking[text] = append(asking[text], name)
		}
	}
	for _, text := range order {
		c.note(c.file, "%s: %s", strings.Join(asking[text], ", "), text)
	}
	for _, m := range c.mounts {
		if asking[m.text] == nil {
			for _, other := range c.mounts {
				if other.text == m.text {
					asking[m.text] = append(asking[m.text], other.service)
				}
			}
			c.note(c.file, "%s: %s", strings.Join(asking[m.text], ", "), m.text)
		}
	}
	for _, name := range c.parts {
		if user := c.services[name].User; containerUser.MatchString(user) {
			fill(&c.User, user)
		}
	}
}

// missing returns what a service asks for and does not get. What is not here is
// either carried over or has no meaning on Kubernetes, as the order of starting
// and what is started again.
func missing(s types.ServiceConfig) []string {
	var texts []string
	note := func(asked bool, format string, arguments ...any) {
		if asked {
			texts = append(texts, fmt.Sprintf(format, arguments...))
		}
	}
	note(s.Privileged, "privileged: pods run without privileges")
	note(len(s.CapAdd) > 0, "cap_add %s: pods get no capabilities; ports below 1024 need none", strings.Join(s.CapAdd, ", "))
	note(len(s.Devices) > 0, "devices: pods get none of the machine's")
	note(len(s.Gpus) > 0, "gpus: there are none")
	note(s.NetworkMode != "", "network_mode %s: pods have a network of their own", s.NetworkMode)
	note(len(s.Networks) > 1 || len(s.Networks) == 1 && !hasKey(s.Networks, "default"), "networks: the processes, database and services of an environment reach each other, and no other environment's")
	note(s.Pid != "" || s.Ipc != "" || s.Uts != "" || s.UserNSMode != "", "pid, ipc, uts and userns_mode: pods have their own")
	note(len(s.ExtraHosts) > 0, "extra_hosts: names come from DNS alone")
	note(len(s.DNS) > 0 || len(s.DNSSearch) > 0 || len(s.DNSOpts) > 0, "dns: the cluster's is used")
	note(len(s.Sysctls) > 0, "sysctls: they are the nodes'")
	note(len(s.Ulimits) > 0, "ulimits: they are the container runtime's")
	note(len(slices.DeleteFunc(slices.Clone(s.SecurityOpt), func(o string) bool { return strings.HasPrefix(o, "no-new-privileges") })) > 0, "security_opt: pods have the runtime's default profile")
	note(len(s.GroupAdd) > 0, "group_add: user takes one uid and one gid")
	note(s.ShmSize > 0, "shm_size: /dev/shm has 64 MB")
	note(len(s.Configs) > 0, "configs: put the files into the image, or their content under env")
	note(len(s.Secrets) > 0, "secrets: they come as environment variables, from .env, not as files below /run/secrets")
	note(len(s.ExternalLinks) > 0 || len(s.VolumesFrom) > 0, "external_links and volumes_from: nothing is shared with other projects")
	note(s.Runtime != "", "runtime %s: the cluster has one", s.Runtime)
	note(s.WorkingDir != "", "working_dir %s: the image's WORKDIR is used", s.WorkingDir)
	note(s.StopGracePeriod != nil, "stop_grace_period: the chart's is used; values.terminationGracePeriodSeconds changes it")
	note(len(s.PreStart) > 0 || len(s.PostStart) > 0 || len(s.PreStop) > 0, "hooks: only release.command runs beside the processes")
	note(len(s.Models) > 0 || s.Provider != nil, "models and provider: berth has none")
	note(s.User != "" && !containerUser.MatchString(s.User), "user %s: must be a number; id -u in the image tells it", s.User)
	return texts
}
