package scaffold

import (
	"bytes"
	"errors"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// parseDockerfile reads the stage that is built: the target, or the last one,
// and what it inherits from the stages that it begins with. Instructions that
// this package does not know are passed over, as the builder judges them.
//
// It returns the target too: another one where what would be built is for development
// by its name, and a stage for production is there.
func parseDockerfile(text []byte, target string, given map[string]string) (dockerfile, string, error) {
	// What expands variables writes to stderr of bytes that are no text.
	if !utf8.Valid(text) || bytes.ContainsRune(text, 0) {
		return dockerfile{}, target, errors.New("it is not text in UTF-8")
	}
	text = bytes.ReplaceAll(text, []byte("\ufeff"), nil)
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return dockerfile{}, target, err
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
		return dockerfile{}, target, errors.New("it has no FROM")
	}
	if better := r.production(built); better != built {
		built, target = better, r.all[better].name
		if built == len(r.all)-1 {
			target = ""
		}
	}
	image := r.all[built].image
	image.args, image.secrets, image.filled = r.args, r.secrets, r.filled
	return image, target, nil
}

// stages reads a Dockerfile's instructions one after the other.
type stages struct {
	lex           *shell.Lex
	global, given map[string]string
	all           []stage
	args, secrets []string
	filled        bool
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
	case "workdir":
		if len(words) > 0 {
			image.workdir = path.Join("/", image.workdir, r.expand(words[0]))
			if path.IsAbs(r.expand(words[0])) {
				image.workdir = path.Clean(r.expand(words[0]))
			}
		}
	case "copy", "add":
		r.filled = true
		if len(words) > 1 && !fromStage(node) {
			image.copies = append(slices.Clone(image.copies), copying{words[:len(words)-1], r.expand(words[len(words)-1])})
		}
	case "run":
		for _, word := range words {
			r.filled = r.filled || strings.Contains(word, "git clone") || strings.Contains(word, "curl ") || strings.Contains(word, "wget ")
		}
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

func fromStage(node *parser.Node) bool {
	return slices.ContainsFunc(node.Flags, func(flag string) bool { return strings.HasPrefix(flag, "--from=") })
}

func command(node *parser.Node, words []string) Command {
	if node.Attributes["json"] {
		return Command{List: words}
	}
	return Command{Text: strings.TrimSpace(strings.Join(words, " "))}
}

func (r *stages) expandWords(word string) []string {
	variables := r.all[len(r.all)-1].variables
	words, err := r.lex.ProcessWords(word, getter(variables))
	if err != nil {
		return []string{word}
	}
	return words
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

// getter looks variables up.
type getter map[string]string

func (g getter) Get(name string) (string, bool) { value, ok := g[name]; return value, ok }

func (g getter) Keys() []string { return slices.Sorted(maps.Keys(g)) }

var productionStage = regexp.MustCompile(`(?i)(^|[^a-z])(prod|production|final|release|runtime|runner|run|deploy|live)([^a-z]|$)`)

// production returns the stage for production where one for development would be
// built, or else that one.
func (r *stages) production(built int) int {
	if !development.MatchString(r.all[built].name) {
		return built
	}
	for i := len(r.all) - 1; i >= 0; i-- {
		if name := r.all[i].name; productionStage.MatchString(name) && !development.MatchString(name) {
			return i
		}
	}
	if last := len(r.all) - 1; !development.MatchString(r.all[last].name) {
		return last
	}
	return built
}
