package scaffold

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dockerfile is what a Dockerfile says of the image that it builds.
type dockerfile struct {
	ports      []string
	health     string
	healthPort int
	volumes    []string
	env        map[string]string
	entrypoint Command
	cmd        Command
	// base is the image that the stage begins with.
	base string
	// args are those without a default, secrets what RUN mounts, of any stage.
	args, secrets []string
	// noHealth says why a HEALTHCHECK could not be carried over.
	noHealth string
}

// readDockerfile looks for the Dockerfile, unless compose.yaml named it.
func (d *Draft) readDockerfile() error {
	if d.Image != "" {
		return nil
	}
	if d.Dockerfile == "" {
		d.Dockerfile = d.findDockerfile()
	}
	if d.Dockerfile == "" {
		return nil
	}
	name, text, err := d.source(d.Dockerfile)
	if err != nil || name == "" {
		return err
	}
	d.Sources = append(d.Sources, name)
	d.docker, err = parseDockerfile(text, d.Target, d.Args)
	if err != nil {
		d.note(name, "is not read further: %v", err)
		return nil
	}
	d.takeDockerfile(name)
	return nil
}

// findDockerfile returns the Dockerfile that is most likely meant for
// production.
func (d *Draft) findDockerfile() string {
	var found []string
	for _, pattern := range []string{
		"Dockerfile", "Containerfile", "dockerfile", "Dockerfile.prod*", "prod*.Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile",
		"docker/Dockerfile", "docker/Dockerfile.prod*", "docker/*/Dockerfile", "deploy/Dockerfile", "build/Dockerfile", "images/*/Dockerfile",
	} {
		names, _ := filepath.Glob(filepath.Join(escapeGlob(d.dir), pattern))
		for _, name := range names {
			name, err := filepath.Rel(d.dir, name)
			if err == nil && d.exists(name) && !strings.HasSuffix(name, ".dockerignore") && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	others := slices.DeleteFunc(slices.Clone(found[1:]), func(name string) bool { return development.MatchString(name) })
	if len(others) > 0 {
		d.note(found[0], "is the one that is built; an application has one image, so these are not: %s", strings.Join(others, ", "))
	}
	return found[0]
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// development marks the names of what is not for production.
var development = regexp.MustCompile(`(?i)\b(dev|devel|development|test|tests|ci|local|debug)\b`)

func (d *Draft) takeDockerfile(name string) {
	for _, arg := range d.docker.args {
		if _, ok := d.Args[arg]; ok {
			continue
		}
		if looksSecret(arg, "") {
			d.note(name, "ARG %s looks like a secret, and arguments stay in the image: use RUN --mount=type=secret,id=%s and build.secrets", arg, arg)
		} else {
			d.note(name, "ARG %s has no default: give it one under build.args where the build needs it", arg)
		}
	}
	for _, secret := range d.docker.secrets {
		if !isVariable(secret) {
			d.note(name, "RUN --mount=type=secret,id=%.60q: a secret of the build must be named as a variable of .env is", secret)
		} else if !slices.Contains(d.BuildSecrets, secret) {
			d.BuildSecrets = append(d.BuildSecrets, secret)
		}
	}
	for _, volume := range d.docker.volumes {
		if !scratch.MatchString(volume) {
			d.addVolume(path.Base(volume), volume)
		}
	}
	if d.onlyWorks {
		return
	}
	if d.Health == "" && d.docker.noHealth != "" {
		d.note(name, "HEALTHCHECK %s", d.docker.noHealth)
	}
	fill(&d.Health, d.docker.health)
	if port := d.docker.env["PORT"]; slices.Contains(d.docker.ports, port) || slices.Contains(d.docker.ports, port+"/tcp") {
		fill(&d.Port, number(port)) // of several, the one that it is told of
	}
	d.takePorts(name, "EXPOSE", d.docker.ports)
	fill(&d.Port, d.docker.healthPort)
	fill(&d.Port, number(d.docker.env["PORT"]))
}

// scratch are folders that hold nothing to keep; the root file system of a pod
// is writable unless berth.yaml says otherwise.
var scratch = regexp.MustCompile(`^/(tmp|run|var/(tmp|run|cache|log))(/|$)`)

// takePorts takes the first TCP port of a list like EXPOSE's, and notes the
// others.
func (d *Draft) takePorts(file, key string, list []string) {
	var tcp []int
	for _, port := range list {
		numbers, protocol, _ := strings.Cut(port, "/")
		first, _, isRange := strings.Cut(numbers, "-")
		switch n := number(first); {
		case protocol != "" && !strings.EqualFold(protocol, "tcp"):
			d.note(file, "%s %s: only HTTP comes in, over TCP", key, port)
		case n == 0:
			d.note(file, "%s %.60q is no port", key, port)
		default:
			if isRange {
				d.note(file, "%s %s: one port serves, not a range", key, port)
			}
			if !slices.Contains(tcp, n) {
				tcp = append(tcp, n)
			}
		}
	}
	if len(tcp) == 0 {
		return
	}
	fill(&d.Port, tcp[0])
	var others []string
	for _, n := range tcp {
		if n != d.Port {
			others = append(others, strconv.Itoa(n))
		}
	}
	if len(others) > 0 {
		d.note(file, "%s %s: one port serves, which is %d", key, strings.Join(others, " "), d.Port)
	}
}

// addVolume adds a volume for a path, named after it unless another one is.
func (d *Draft) addVolume(name, at string) string {
	for known, path := range d.Volumes {
		if path == at {
			return known
		}
	}
	name = label(name, 20)
	fill(&name, "files")
	unique := name
	for i := 2; d.Volumes[unique] != ""; i++ {
		unique = name + "-" + strconv.Itoa(i)
	}
	d.Volumes[unique] = at
	return unique
}
