package scaffold

import (
	"cmp"
	"path"
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
	// workdir is the folder that its program begins in, copies what is copied into it.
	workdir string
	copies  []copying
	// filled says that a stage copies something, or fetches it.
	filled bool
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
