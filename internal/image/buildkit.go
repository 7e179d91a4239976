package image

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"berth/internal/progress"
	"berth/internal/provider"
)

// BuildKit builds with a buildkitd that is running, by its own client, buildctl.
type BuildKit struct {
	// Client is the path of buildctl, and Address where buildkitd listens:
	// "unix:///run/buildkitd.sock".
	Client, Address string
	// Temp is the folder for temporary files, which stay when a build is
	// killed. Empty takes TMPDIR.
	Temp string
}

// Result says how a build of BuildKit's ends.
type Result struct {
	// Output is what becomes of the image, as the fields of buildctl's
	// --output: "type=oci", "dest=/tmp/app.tar". None keeps it in BuildKit's
	// cache, from which the same build comes back in no time.
	Output []string
	// Login is a file of docker's format with passwords of registries, which
	// count besides the user's own.
	Login string
	// Contexts take the place of images and stages that the Dockerfile names:
	// a folder with the files of a stage, or an OCI layout of an image.
	Contexts map[string]string
}

// Build makes an image from a Dockerfile and returns the digest of its
// manifest, which is empty when there is no output.
func (k BuildKit) Build(ctx context.Context, b provider.Build, to Result, r progress.Reporter) (digest string, err error) {
	err = progress.Run(r, "Build image "+b.Name, func(step progress.Step) error {
		from, err := newRecipe(b, k.Temp, ".dockerignore")
		if err != nil {
			return err
		}
		defer os.RemoveAll(from.folder)
		digest, err = k.solve(ctx, from, to, step)
		return from.explain(err)
	})
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", b.Name, err)
	}
	return digest, nil
}

func (k BuildKit) solve(ctx context.Context, from recipe, to Result, step progress.Step) (digest string, err error) {
	arguments, err := from.frontend(to.Contexts)
	if err != nil {
		return "", err
	}
	metadata := filepath.Join(from.folder, "metadata.json")
	arguments = append([]string{"--addr", k.Address, "build", "--progress", "rawjson", "--metadata-file", metadata}, arguments...)
	if len(to.Output) > 0 {
		output, err := record(to.Output)
		if err != nil {
			return "", err
		}
		arguments = append(arguments, "--output", output)
	}
	secrets, environment := from.secrets()
	command := newCommand(ctx, k.Client, append(arguments, secrets...)...)
	command.Env = append(command.Env, environment...)
	if to.Login != "" {
		if err := mergeLogins(from.folder, to.Login); err != nil {
			return "", err
		}
		command.Env = append(command.Env, "DOCKER_CONFIG="+from.folder)
	}
	status := &solveStatus{step: step, mask: mask(from.build.Secrets)}
	lines := &lineWriter{line: status.line}
	command.Stderr = lines
	err = command.Run()
	lines.flush()
	for _, v := range status.vertices {
		v.said.flush() // a last line without an end
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", status.failure(err)
	}
	if len(to.Output) == 0 {
		return "", nil // buildctl prints nothing about it
	}
	content, err := os.ReadFile(metadata)
	if err != nil {
		return "", fmt.Errorf("read what BuildKit made: %w", err)
	}
	var made struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(content, &made); err != nil {
		return "", fmt.Errorf("read what BuildKit made: %w", err)
	}
	if !digestForm.MatchString(made.Digest) {
		return "", fmt.Errorf("BuildKit does not tell the digest of what it made")
	}
	return made.Digest, nil
}

// record is a line of CSV: a folder's name may hold a comma.
func record(fields []string) (string, error) {
	var line strings.Builder
	w := csv.NewWriter(&line)
	if err := w.Write(fields); err != nil {
		return "", err
	}
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n"), w.Error()
}

// frontend returns buildctl's arguments for a Dockerfile.
func (r recipe) frontend(contexts map[string]string) ([]string, error) {
	arguments := []string{
		"--frontend", "dockerfile.v0",
		"--local", "context=" + r.build.Context,
		"--local", "dockerfile=" + r.folder,
		"--opt", "filename=" + filepath.Base(r.dockerfile),
	}
	option := func(name, value string) {
		if value != "" {
			arguments = append(arguments, "--opt", name+"="+value)
		}
	}
	if own, err := r.ownSyntax(); err != nil {
		return nil, err
	} else if own {
		option("cmdline", "berth") // which is what a frontend that was fetched says; BuildKit then fetches none
	}
	option("target", r.build.Target)
	option("platform", r.build.Platform)
	for _, name := range slices.Sorted(maps.Keys(r.build.Args)) {
		arguments = append(arguments, "--opt", "build-arg:"+name+"="+r.build.Args[name])
	}
	for i, name := range slices.Sorted(maps.Keys(contexts)) {
		folder, id := contexts[name], fmt.Sprintf("berth-%d", i)
		digest, err := layoutDigest(folder)
		if err != nil {
			return nil, err
		}
		if digest == "" {
			arguments = append(arguments, "--local", id+"="+folder)
			option("context:"+name, "local:"+id)
		} else {
			arguments = append(arguments, "--oci-layout", id+"="+folder)
			option("context:"+name, "oci-layout://"+id+"@"+digest)
		}
	}
	return arguments, nil
}

// dockerSyntax are the frontends of Docker's own that BuildKit has built in, as
// new as itself, or nearly.
var dockerSyntax = regexp.MustCompile(`^(?:docker\.io/)?docker/dockerfile(?::(?:latest|labs|1(?:[.-].*)?))?$`)

// ownSyntax reports whether the line "# syntax=" of a Dockerfile names what
// BuildKit has itself. Nothing is fetched for it then, and builds do not change
// with what a registry has today.
func (r recipe) ownSyntax() (bool, error) {
	content, err := os.ReadFile(r.dockerfile)
	if err != nil {
		return false, fmt.Errorf("read Dockerfile: %w", err)
	}
	frontend, _, _, ok := parser.DetectSyntax(content)
	return ok && dockerSyntax.MatchString(frontend), nil
}

// layoutDigest returns the digest of the image in an OCI layout, or "" for any
// other folder.
func layoutDigest(folder string) (string, error) {
	content, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		return "", nil
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(content, &index); err != nil || len(index.Manifests) == 0 {
		return "", fmt.Errorf("read image layout %s: no image in index.json", folder)
	}
	return index.Manifests[0].Digest, nil
}

// solveStatus follows what buildctl says: a JSON document a line while it
// builds, then plain lines with the reason of a failure.
type solveStatus struct {
	step     progress.Step
	mask     *strings.Replacer
	vertices map[string]*vertex
	failed   *vertex
	messages []string
}

// vertex is a step of the Dockerfile, or one that BuildKit adds.
type vertex struct {
	Digest    string  `json:"digest"`
	Name      string  `json:"name"`
	Started   *string `json:"started"`
	Completed *string `json:"completed"`
	Error     string  `json:"error"`
	output    tail
	said      lineWriter
}

func (s *solveStatus) line(text string) {
	var status struct {
		Vertices []vertex `json:"vertexes"`
		Logs     []struct {
			Vertex string `json:"vertex"`
			Data   []byte `json:"data"`
		} `json:"logs"`
	}
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &status) != nil {
		s.messages = append(s.messages, s.mask.Replace(text))
		return
	}
	for _, now := range status.Vertices {
		v := s.vertex(now.Digest)
		v.Name = now.Name
		if now.Started != nil && now.Completed == nil {
			s.step.Detail(v.Name)
		}
		// What depends on a failed step is canceled, with an error of its own.
		if now.Error != "" && s.failed == nil && !strings.Contains(now.Error, "context canceled") {
			s.failed = v
		}
	}
	for _, log := range status.Logs {
		s.vertex(log.Vertex).said.Write(log.Data) //nolint:errcheck // it keeps all it is given
	}
}

func (s *solveStatus) vertex(digest string) *vertex {
	if s.vertices == nil {
		s.vertices = map[string]*vertex{}
	}
	v := s.vertices[digest]
	if v == nil {
		v = &vertex{}
		v.said.line = func(line string) {
			line = s.mask.Replace(line)
			s.step.Detail(line)
			v.output.add(line)
		}
		s.vertices[digest] = v
	}
	return v
}

// failure is the reason, the place in the Dockerfile, and what the failed step
// said.
func (s *solveStatus) failure(err error) error {
	reason := err.Error()
	var place []string
	for _, message := range s.messages {
		if said, ok := strings.CutPrefix(message, "error: "); ok {
			reason = strings.TrimPrefix(said, "failed to solve: ")
		} else if !strings.HasPrefix(message, "----") {
			place = append(place, message)
		}
	}
	text := reason
	if len(place) > 0 {
		text += "\n  " + strings.Join(place, "\n  ")
	}
	if s.failed != nil {
		if output := s.failed.output.String(); output != "" {
			text += "\n  its output:\n" + output
		}
	}
	return &buildError{text, err}
}

// buildError is a builder's own account of a failure.
type buildError struct {
	text string
	err  error
}

func (e *buildError) Error() string { return e.text }
func (e *buildError) Unwrap() error { return e.err }
