package scaffold

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

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

var migration = regexp.MustCompile(`(?i)\bmigrate\b|db:(prepare|migrate)|upgrade head|db upgrade|migrate:deploy|migrate deploy`)

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
