package scaffold

import (
	"bytes"
	"errors"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
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
	if port := d.docker.env["PORT"]; slices.Contains(d.docker.ports, port) {
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
				d.note(file, "%s %s: one port serves, so %d does", key, port, n)
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

// parseDockerfile reads the stage that is built: the target, or the last one,
// and what it inherits from the stages that it begins with. Instructions that
// this package does not know are passed over, as the builder judges them.
func parseDockerfile(text []byte, target string, given map[string]string) (dockerfile, error) {
	// What expands variables writes to stderr of bytes that are no text.
	if !utf8.Valid(text) || bytes.ContainsRune(text, 0) {
		return dockerfile{}, errors.New("it is not text in UTF-8")
	}
	text = bytes.ReplaceAll(text, []byte("\ufeff"), nil)
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return dockerfile{}, err
	}
	r := stages{lex: shell.NewLex(result.EscapeToken), global: map[string]string{}, given: given}
	for _, node := range result.AST.Children {
		r.read(node)
	}
	built := len(r.all) - 1
	for i, s := range r.all {
		if target != "" && (strings.EqualFold(s.name, target) || target == strconv.Itoa(i)) {
			built = i
		}
	}
	if built < 0 {
		return dockerfile{}, errors.New("it has no FROM")
	}
	image := r.all[built].image
	image.args, image.secrets = r.args, r.secrets
	return image, nil
}

// stages reads a Dockerfile's instructions one after the other.
type stages struct {
	lex           *shell.Lex
	global, given map[string]string
	all           []stage
	args, secrets []string
}

type stage struct {
	name  string
	image dockerfile
	// variables are the ARGs and ENVs that the instructions may refer to.
	variables map[string]string
}

func (r *stages) read(node *parser.Node) {
	var words []string
	for next := node.Next; next != nil; next = next.Next {
		words = append(words, next.Value)
	}
	instruction := strings.ToLower(node.Value)
	if instruction == "from" {
		r.from(words)
		return
	}
	if instruction == "arg" {
		r.arg(words)
		return
	}
	if len(r.all) == 0 {
		return
	}
	s := &r.all[len(r.all)-1]
	image := &s.image
	switch instruction {
	case "env":
		// The parser returns name, value and what stood between them.
		for ; len(words) >= 2; words = words[min(3, len(words)):] {
			value := r.expand(words[1])
			s.variables[words[0]], image.env[words[0]] = value, value
		}
	case "expose":
		for _, word := range words {
			image.ports = append(image.ports, r.expandWords(word)...)
		}
	case "volume":
		for _, word := range words {
			image.volumes = append(image.volumes, r.expand(word))
		}
	case "entrypoint":
		image.entrypoint = command(node, words)
		image.cmd = Command{} // of the stage before, for another program
	case "cmd":
		image.cmd = command(node, words)
	case "healthcheck":
		r.healthcheck(image, words)
	case "run":
		for _, flag := range node.Flags {
			if id := secretID(flag); id != "" && !slices.Contains(r.secrets, id) {
				r.secrets = append(r.secrets, id)
			}
		}
	}
}

// from begins a stage, with what the image has that it begins with.
func (r *stages) from(words []string) {
	s := stage{variables: map[string]string{}, image: dockerfile{env: map[string]string{}}}
	if len(words) > 0 {
		base := r.expandIn(words[0], r.global)
		s.image.base = base
		for i, other := range r.all {
			if strings.EqualFold(other.name, base) || base == strconv.Itoa(i) {
				s.image = other.image
				s.image.env = maps.Clone(other.image.env)
			}
		}
		maps.Copy(s.variables, s.image.env)
	}
	if len(words) == 3 && strings.EqualFold(words[1], "as") {
		s.name = words[2]
	}
	r.all = append(r.all, s)
}

func (r *stages) arg(words []string) {
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		value = r.expand(value)
		if own, isGiven := r.given[name]; isGiven {
			value, ok = own, true
		}
		if len(r.all) == 0 {
			if ok {
				r.global[name] = value
			}
		} else {
			if !ok {
				value, ok = r.global[name]
			}
			variables := r.all[len(r.all)-1].variables
			if _, set := variables[name]; !set && ok {
				variables[name] = value
			}
		}
		if !ok && !predefined.MatchString(name) && isVariable(name) && !slices.Contains(r.args, name) {
			r.args = append(r.args, name)
		}
	}
}

// predefined are the arguments that BuildKit sets or that cost nothing when
// they are not there.
var predefined = regexp.MustCompile(`^((TARGET|BUILD)(PLATFORM|OS|ARCH|VARIANT|STAGE)|BUILDKIT_.*|SOURCE_DATE_EPOCH|(?i:https?|ftp|no|all)_(?i:proxy))$`)

func (r *stages) healthcheck(image *dockerfile, words []string) {
	image.health, image.healthPort, image.noHealth = "", 0, ""
	if len(words) < 2 || !strings.EqualFold(words[0], "cmd") {
		return // NONE
	}
	test := strings.Join(words[1:], " ")
	var problem string
	image.health, image.healthPort, problem = healthOf(test, r.all[len(r.all)-1].variables)
	image.noHealth = problem
}

// expand replaces variables of the present stage; a name that is not known
// stands for nothing, as in Docker.
func (r *stages) expand(word string) string {
	if len(r.all) == 0 {
		return r.expandIn(word, r.global)
	}
	return r.expandIn(word, r.all[len(r.all)-1].variables)
}

func (r *stages) expandIn(word string, variables map[string]string) string {
	expanded, _, err := r.lex.ProcessWord(word, getter(variables))
	if err != nil {
		return word
	}
	return expanded
}

func (r *stages) expandWords(word string) []string {
	variables := r.all[len(r.all)-1].variables
	words, err := r.lex.ProcessWords(word, getter(variables))
	if err != nil {
		return []string{word}
	}
	return words
}

// getter looks variables up.
type getter map[string]string

func (g getter) Get(name string) (string, bool) { value, ok := g[name]; return value, ok }
func (g getter) Keys() []string                 { return slices.Sorted(maps.Keys(g)) }

func command(node *parser.Node, words []string) Command {
	if node.Attributes["json"] {
		return Command{List: words}
	}
	return Command{Text: strings.TrimSpace(strings.Join(words, " "))}
}

// secretID returns the id of a flag like --mount=type=secret,id=TOKEN. Without
// one it is the last part of the target, as in BuildKit.
func secretID(flag string) string {
	mount, ok := strings.CutPrefix(flag, "--mount=")
	if !ok || !strings.Contains(mount, "type=secret") {
		return ""
	}
	id := ""
	for field := range strings.SplitSeq(mount, ",") {
		switch key, value, _ := strings.Cut(strings.TrimSpace(field), "="); key {
		case "id":
			return value
		case "target", "dst", "destination":
			id = path.Base(value)
		}
	}
	return id
}

// command returns what a container of the image runs, as one list; ok is false
// where that cannot be told.
func (image dockerfile) command() Command {
	switch {
	case image.entrypoint.IsZero():
		return image.cmd
	case image.entrypoint.Text != "":
		return image.entrypoint // a shell's, which takes no arguments
	case image.cmd.Text != "":
		return Command{List: slices.Concat(image.entrypoint.List, []string{"/bin/sh", "-c", image.cmd.Text})}
	default:
		return Command{List: slices.Concat(image.entrypoint.List, image.cmd.List)}
	}
}

// after returns what runs when the image's CMD is another one.
func (image dockerfile) after(c Command) Command {
	image.cmd = c
	return image.command()
}
