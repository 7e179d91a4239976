package scaffold

import (
	"cmp"
	"path"
	"regexp"
	"slices"
)

// readDockerfile looks for the Dockerfile, unless compose.yaml named it.
func (d *Draft) readDockerfile() error {
	if d.Image != "" {
		return nil
	}
	if d.Dockerfile != "" && !d.exists(d.Dockerfile) {
		if d.Dockerfile != "Dockerfile" { // of which more is said later
			d.note(d.Sources[len(d.Sources)-1], "names the Dockerfile %s, which is not there", d.Dockerfile)
		}
		d.Dockerfile, d.Context, d.Target, d.Args = "", "", "", map[string]string{}
	}
	named := d.Dockerfile != ""
	if !named {
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
	if context := d.contextOf(name, text); !named && context != "." {
		d.Context = context
		d.note(name, "copies from the folder %s, so that is the context: correct it in berth.yaml where it is another", context)
	}
	image, target, err := parseDockerfile(text, d.Target, d.Args)
	d.docker = image
	if err != nil {
		d.note(name, "is not read further: %v", err)
		return nil
	}
	if target != d.Target {
		d.note(name, "stage %s is for development, so stage %s is built", cmp.Or(d.Target, "at the end"), cmp.Or(target, "at the end"))
		d.Target, d.otherTarget = target, d.Target != ""
	}
	d.takeDockerfile(name)
	return nil
}

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
	if d.Health == "" {
		d.Health, d.healthPort, d.healthFile = d.docker.health, d.docker.healthPort, name
	}
	if port := d.docker.env["PORT"]; slices.Contains(d.docker.ports, port) || slices.Contains(d.docker.ports, port+"/tcp") {
		fill(&d.Port, number(port)) // of several, the one that it is told of
	}
	d.takePorts(name, "EXPOSE", d.docker.ports)
	if d.docker.healthPort != caddyAdmin {
		fill(&d.Port, d.docker.healthPort)
	}
	fill(&d.Port, number(d.docker.env["PORT"]))
}

// caddyAdmin is where Caddy, and FrankenPHP with it, is administered.
const caddyAdmin = 2019

// scratch are folders that hold nothing to keep; the root file system of a pod
// is writable unless berth.yaml says otherwise.
var scratch = regexp.MustCompile(`^/(tmp|run|var/(tmp|run|cache|log))(/|$)`)
