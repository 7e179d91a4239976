package scaffold

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"berth/internal/config"
)

var (
	platform      = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`)
	stageName     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)
	containerUser = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(:(0|[1-9][0-9]{0,8}))?$`)
	healthPath    = regexp.MustCompile(`^/[^ ?#"\\\x00-\x1f]*$`)
)

// reserved are names of objects that every application has.
var reserved = []string{"web", "release", "postgresql", "env", "tls", "upstream", "backup"}

// maxObject is the longest name of an object of Kubernetes' that a process may
// lead to, behind the application's name and a dash.
const maxObject = 52

// settle makes the draft one that package config accepts. What it cannot keep
// it notes.
func (d *Draft) settle() {
	d.settleImage()
	d.settleCommands()
	d.settleWeb()
	d.settleProcesses()
	d.settleServices()
	d.settleVolumes()
	d.settleVariables()
	if d.Database == "sqlite" && d.Replicas > 1 {
		d.note(d.Sources[0], "%d replicas: SQLite's file takes one writer, so there is one", d.Replicas)
		d.Replicas = 1
	}
}

func (d *Draft) settleImage() {
	if problem := config.NotAnImage(d.Image); d.Image != "" && problem != "" {
		d.note(d.Sources[0], "image %.60q is none that can be released as it stands: %s", d.Image, problem)
		d.Image, d.Dockerfile = "", "Dockerfile"
	}
	if d.Image != "" {
		d.Dockerfile, d.Context, d.Target, d.Platform, d.Args, d.BuildSecrets = "", "", "", "", nil, nil
	}
	fill(&d.Context, ".")
	if d.Image == "" {
		fill(&d.Dockerfile, "Dockerfile")
	}
	if d.Target != "" && !stageName.MatchString(d.Target) {
		d.Target = ""
	}
	if d.Platform != "" && !platform.MatchString(d.Platform) {
		d.Platform = ""
	}
	for name, value := range d.Args {
		if !isVariable(name) || strings.ContainsRune(value, 0) {
			delete(d.Args, name)
		}
	}
}

// settleCommands makes texts of lists that only a shell can run.
func (d *Draft) settleCommands() {
	d.Command, d.Release = d.forShell("the command", d.Command), d.forShell("the release command", d.Release)
	for _, name := range sorted(d.Processes) {
		p := d.Processes[name]
		p.Command = d.forShell("the command of "+name, p.Command)
		d.Processes[name] = p
	}
}

func (d *Draft) forShell(what string, c Command) Command {
	if len(c.List) == 0 || !strings.ContainsAny(c.List[0], " \t\n") && !slices.ContainsFunc(c.List, config.IsShellWord) {
		return c
	}
	if len(c.List) == 1 {
		return Command{Text: c.List[0]}
	}
	d.note(d.Sources[0], "%s has words that only a shell knows, so it is written as a text for one", what)
	var text []string
	for _, word := range c.List {
		if !config.IsShellWord(word) && !plainWord.MatchString(word) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		text = append(text, word)
	}
	return Command{Text: strings.Join(text, " ")}
}

// plainWord is one that a shell takes as it is.
var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// settleWeb finds the port of the web process, or leaves out what only it has.
func (d *Draft) settleWeb() {
	if d.onlyWorks {
		d.Port, d.Command, d.Health, d.Replicas = 0, Command{}, "", 0
		if len(d.Processes) > 0 {
			return
		}
		d.onlyWorks = false
	}
	if blank(d.Command) {
		d.Command = Command{}
	}
	runs := d.Command
	if runs.IsZero() {
		runs = d.docker.command()
	}
	if said := portOf(d.Command); said != 0 {
		d.Port = said // it goes before EXPOSE, which only tells
	}
	fill(&d.Port, portOf(runs))
	fill(&d.Port, portOf(d.script(runs)))
	fill(&d.Port, d.serverPort())
	fill(&d.Port, d.envPort)
	fill(&d.Port, basePort(d.docker.base))
	fill(&d.Port, basePort(d.Image))
	if d.Port == 0 {
		d.Port = d.usualPort()
		d.GuessedPort = !strings.Contains(runs.Text+strings.Join(runs.List, " "), "$PORT") &&
			!strings.Contains(runs.Text+strings.Join(runs.List, " "), "${PORT")
		if d.GuessedPort {
			d.note(d.Sources[0], "no file names the port that the application listens on: %d is a guess; correct port in berth.yaml", d.Port)
		}
	}
	if d.procfile && len(d.docker.entrypoint.List) > 0 {
		d.note(d.Dockerfile, "ENTRYPOINT %q does not run before the commands of the Procfile: put it before them in berth.yaml if it must", d.docker.entrypoint.List[0])
	}
	if d.healthPort != 0 && d.healthPort != d.Port {
		d.note(d.healthFile, "its health check asks port %d, and requests come to port %d: health is the path that answers there", d.healthPort, d.Port)
		d.Health = ""
	}
	if !healthPath.MatchString(d.Health) {
		d.Health = ""
	}
}

func (d *Draft) settleProcesses() {
	if blank(d.Release) {
		d.Release = Command{}
	}
	processes := map[string]Process{}
	for _, name := range sorted(d.Processes) {
		p := d.Processes[name]
		if blank(p.Command) {
			continue
		}
		unique := d.object(name, "worker", func(name string) bool { return hasKey(processes, name) })
		if unique != name {
			d.note(d.Sources[0], "process %s is named %s", name, unique)
		}
		for variable := range p.Env {
			if !isVariable(variable) || strings.ContainsRune(p.Env[variable], 0) {
				delete(p.Env, variable)
			}
		}
		processes[unique] = p
	}
	d.Processes = processes
}

func (d *Draft) settleServices() {
	services := map[string]string{}
	for _, name := range sorted(d.Services) {
		unique := d.object(name, "cache", func(name string) bool { return hasKey(services, name) || hasKey(d.Processes, name) })
		services[unique] = d.Services[name]
	}
	d.Services = services
}

// settleVolumes keeps the volumes that a container can have side by side.
func (d *Draft) settleVolumes() {
	taken := []string{}
	if d.Database == "sqlite" {
		taken = append(taken, "/data")
	}
	overlaps := func(at string) bool {
		return slices.ContainsFunc(taken, func(other string) bool {
			return at == other || strings.HasPrefix(at, other+"/") || strings.HasPrefix(other, at+"/")
		})
	}
	good := func(at string) bool {
		return path.IsAbs(at) && at != "/" && !strings.ContainsAny(at, ":\x00\n\r")
	}
	volumes := map[string]string{}
	// The folder above goes before those in it.
	names := sorted(d.Volumes)
	slices.SortStableFunc(names, func(a, b string) int { return len(path.Clean(d.Volumes[a])) - len(path.Clean(d.Volumes[b])) })
	for _, name := range names {
		at := path.Clean(d.Volumes[name])
		switch {
		case !good(at):
			d.note(d.Sources[0], "volume %s: %.60q is not a path of a folder in the container", name, d.Volumes[name])
		case overlaps(at):
			d.note(d.Sources[0], "volume %s: %s overlaps with another volume, or with /data, where SQLite is", name, at)
		default:
			taken = append(taken, at)
			unique := d.object(name, "files", func(name string) bool {
				return hasKey(volumes, name) || hasKey(d.Services, name) || name == "data" && d.Database == "sqlite"
			})
			volumes[unique] = at
		}
	}
	d.Volumes = volumes
	var writable []string
	for _, at := range d.Writable {
		if at = path.Clean(at); good(at) && !overlaps(at) {
			taken = append(taken, at)
			writable = append(writable, at)
		}
	}
	d.Writable = writable
}

func (d *Draft) settleVariables() {
	for name, value := range d.Env {
		if !isVariable(name) || strings.ContainsRune(value, 0) {
			delete(d.Env, name)
		}
	}
	for service := range d.Services {
		own := strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_PASSWORD" // which berth makes
		delete(d.Env, own)
		delete(d.References, own)
		d.Secrets = slices.DeleteFunc(d.Secrets, func(name string) bool { return name == own })
	}
	d.Secrets = slices.DeleteFunc(d.Secrets, func(name string) bool {
		return d.Database != "" && name == "DATABASE_URL" || len(d.Services) > 0 && name == "REDIS_URL"
	})
	slices.Sort(d.Secrets)
	d.Secrets = slices.Compact(d.Secrets)
	for _, name := range d.Secrets {
		delete(d.Env, name)
		delete(d.References, name)
	}
	// A reference finds what berth gives, and not what another reference makes of it.
	for name, parts := range map[string]string{
		"DATABASE_URL": "postgresql://$(PGUSER):$(PGPASSWORD)@$(PGHOST):$(PGPORT)/$(PGDATABASE)",
		"REDIS_URL":    "redis://:$(REDIS_PASSWORD)@$(REDIS_HOST):$(REDIS_PORT)/0",
	} {
		for other, value := range d.References {
			if hasKey(d.References, name) {
				d.References[other] = strings.ReplaceAll(value, "$("+name+")", parts)
			}
		}
	}
	for name, value := range d.References {
		toService, toDatabase := strings.Contains(value, "$(REDIS_"), strings.Contains(value, "$(PG") || strings.Contains(value, "$(DATABASE_URL)")
		if toService && len(d.Services) == 0 || toDatabase && d.Database != "postgres" {
			delete(d.References, name)
		}
		delete(d.Env, name)
	}
	d.HostVariables = slices.DeleteFunc(d.HostVariables, func(name string) bool {
		return d.onlyWorks || hasKey(d.References, name) || slices.Contains(d.Secrets, name)
	})
	slices.Sort(d.BuildSecrets)
	d.BuildSecrets = slices.Compact(d.BuildSecrets)
	if d.User != "" && !containerUser.MatchString(d.User) {
		d.User = ""
	}
}

// object makes a name of a text that an object may have, and that is not taken.
func (d *Draft) object(text, otherwise string, taken func(string) bool) string {
	most := maxObject - 1 - len(d.Name)
	name := label(text, most)
	fill(&name, otherwise)
	if slices.Contains(reserved, name) {
		name = label(name+"-"+otherwise, most)
	}
	unique := name
	for i := 2; taken(unique) || slices.Contains(reserved, unique); i++ {
		suffix := "-" + strconv.Itoa(i)
		unique = label(name, most-len(suffix)) + suffix
	}
	return unique
}
