package scaffold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"
)

// compose is a compose.yaml, and what its services are to the application.
type compose struct {
	*Draft
	file     string
	services types.Services
	// project is what Docker names the images that it builds after.
	project string
	// main is the service that answers requests, or the one there is.
	main string
	// parts are the services that run the same image, main among them.
	parts []string
	// stores are the services that berth runs by itself: postgres or valkey by
	// the service's name.
	stores map[string]string
	// pending are variables that only the owner's shell has a value for.
	pending []string
	// mounts are files and folders that are not mounted.
	mounts []mount
}

// readCompose takes what compose.yaml says of the image and of requests. The
// Dockerfile that it names has to be read before the rest can be understood.
func (d *Draft) readCompose() error {
	files, err := d.composeFiles()
	if err != nil || len(files) == 0 {
		return err
	}
	name := files[len(files)-1].name
	project, err := loadCompose(d.dir, files, d.Name)
	if err != nil {
		d.note(name, "is not read: %v", strings.ReplaceAll(err.Error(), d.dir+"/", ""))
		return nil
	}
	c := &compose{Draft: d, file: name, services: project.Services, project: project.Name, stores: map[string]string{}}
	d.Name = cmp.Or(label(project.Name, maxName), d.Name)
	for _, file := range files {
		d.Sources = append(d.Sources, file.name)
	}
	c.classify()
	if c.main != "" {
		c.takeImage()
	}
	d.compose = c
	return nil
}

// composeFile is a file of Compose.
type composeFile struct {
	name string
	text []byte
	// services are what it has below that key.
	services map[string]any
}

// composeFiles returns the file that describes the application, and that for
// production laid over it; or the latter alone, where it describes all by itself.
func (d *Draft) composeFiles() ([]composeFile, error) {
	var files []composeFile
	for _, names := range [][]string{
		{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"},
		{"compose.prod.yaml", "compose.prod.yml", "compose.production.yaml", "compose.production.yml", "docker-compose.prod.yaml", "docker-compose.prod.yml",
			"docker-compose.production.yaml", "docker-compose.production.yml", "production.yml"},
	} {
		name, text, err := d.source(names...)
		if err != nil {
			return nil, err
		}
		var model struct{ Services map[string]any }
		if name == "" || yaml.Unmarshal(text, &model) != nil && len(files) > 0 {
			continue
		}
		files = append(files, composeFile{name, text, model.Services})
	}
	if len(files) < 2 {
		if len(files) == 1 && files[0].name == "production.yml" && files[0].services == nil {
			return nil, nil // another tool's
		}
		return files, nil
	}
	whole := len(files[1].services) >= len(files[0].services)
	for _, service := range files[1].services {
		keys, _ := service.(map[string]any)
		whole = whole && (hasKey(keys, "image") || hasKey(keys, "build") || hasKey(keys, "extends"))
	}
	if whole || len(files[1].services) == 0 {
		return files[1:], nil
	}
	return files, nil
}

// loadCompose reads the services of compose files. Variables take their
// defaults, as neither the owner's shell nor .env may have a say in what is
// written; those of the services' own environment stay as they are written.
func loadCompose(dir string, files []composeFile, project string) (loaded *types.Project, err error) {
	logrus.SetOutput(io.Discard) // the loader warns of what is only old-fashioned
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("it cannot be understood: %v", problem)
		}
	}()
	var configs []types.ConfigFile
	for _, file := range files {
		var model map[string]any
		if err := yaml.Unmarshal(file.text, &model); err != nil {
			return nil, err
		}
		delete(model, "version")
		all, ok := model["services"].(map[string]any)
		if !ok && !hasKey(model, "include") {
			return nil, errors.New("it has no services: in files of version 1, they have to be put below the key services")
		}
		for _, service := range all {
			if service, ok := service.(map[string]any); ok {
				keepVariables(service["environment"])
			}
		}
		configs = append(configs, types.ConfigFile{Filename: filepath.Join(dir, file.name), Content: file.text, Config: model})
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: configs,
		Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName(project, false) // where the file has no name
		o.SkipConsistencyCheck = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.ResolvePaths = false
		o.Profiles = []string{"*"}
		o.Interpolate.Substitute = func(text string, mapping template.Mapping) (string, error) {
			text, err := template.SubstituteWithOptions(text, mapping, template.WithoutLogging)
			if missing := new(template.MissingRequiredError); errors.As(err, &missing) {
				err = nil
			}
			return text, err
		}
	})
}

// keepVariables writes the dollars of an environment so that they stay.
func keepVariables(environment any) {
	switch environment := environment.(type) {
	case map[string]any:
		for name, value := range environment {
			if text, ok := value.(string); ok {
				environment[name] = strings.ReplaceAll(text, "$", "$$")
			}
		}
	case []any:
		for i, value := range environment {
			if text, ok := value.(string); ok {
				environment[i] = strings.ReplaceAll(text, "$", "$$")
			}
		}
	}
}

// classify finds the application among the services.
func (c *compose) classify() {
	var builds, images []string
	for _, name := range sorted(c.services) {
		s := c.services[name]
		switch image := imageName(s.Image); {
		case len(s.Profiles) > 0:
			c.note(c.file, "service %s belongs to a profile (%s) and is left out", name, strings.Join(s.Profiles, ", "))
		case s.Build != nil && c.storeOf(s.Build) != "":
			c.stores[name] = c.storeOf(s.Build)
			if c.stores[name] == "postgres" {
				fill(&c.Database, "postgres")
			}
		case s.Build != nil:
			builds = append(builds, name)
		case postgresImage.MatchString(image):
			c.stores[name] = "postgres"
			fill(&c.Database, "postgres")
			c.checkDatabase(name, s)
		case valkeyImage.MatchString(image):
			c.stores[name] = "valkey"
		default:
			images = append(images, name)
		}
	}
	for _, name := range sorted(c.stores) {
		if c.stores[name] == "valkey" {
			if len(c.Services) > 0 {
				c.note(c.file, "service %s (%s): one Valkey is enough for the application, with several databases in it", name, c.services[name].Image)
				continue
			}
			c.addService(name)
		}
	}
	candidates := builds
	if len(builds) == 0 && c.findDockerfile() == "" {
		candidates = slices.DeleteFunc(slices.Clone(images), func(name string) bool {
			return len(images) > 1 && proxyImage.MatchString(imageName(c.services[name].Image))
		})
	}
	c.main = c.best(candidates)
	for _, name := range slices.Concat(builds, images) {
		switch {
		case c.main != "" && c.same(name):
			c.parts = append(c.parts, name)
		default:
			c.leaveOut(name)
		}
	}
}

// storeOf returns the kind of server that a built image is made of, if it is one that
// berth runs: people build PostgreSQL to add a script to it.
func (c *compose) storeOf(b *types.BuildConfig) string {
	name, text, err := c.source(path.Join(b.Context, dockerfileOf(b)))
	if err != nil || name == "" || path.IsAbs(b.Context) || strings.HasPrefix(path.Clean(name), "..") {
		return ""
	}
	image, _, err := parseDockerfile(text, b.Target, nil)
	switch base := imageName(image.base); {
	case err != nil:
		return ""
	case postgresImage.MatchString(base):
		return "postgres"
	case valkeyImage.MatchString(base):
		return "valkey"
	}
	return ""
}

// best returns the service that is most likely the application's web process.
func (c *compose) best(names []string) string {
	best, most := "", -100
	for _, name := range names {
		s := c.services[name]
		score := 0
		if len(s.Ports) > 0 {
			score += 4
		}
		if len(s.Expose) > 0 {
			score += 3
		}
		if webName.MatchString(name) {
			score += 2
		}
		if s.Build != nil && path.Clean(s.Build.Context) == "." {
			score++
		}
		for _, on := range s.GetDependencies() {
			if c.stores[on] != "" {
				score++
			}
		}
		if workerName.MatchString(name) {
			score -= 3
		}
		if proxyName.MatchString(name) {
			score -= 10
		}
		if score > most {
			best, most = name, score
		}
	}
	return best
}

// same reports whether a service runs the application's image.
func (c *compose) same(name string) bool {
	main, s := c.services[c.main], c.services[name]
	if name == c.main {
		return true
	}
	if s.Build != nil && main.Build != nil {
		return path.Clean(s.Build.Context) == path.Clean(main.Build.Context) && dockerfileOf(s.Build) == dockerfileOf(main.Build) &&
			s.Build.Target == main.Build.Target
	}
	// An image that is built and not named is PROJECT-SERVICE.
	return s.Build == nil && s.Image != "" && (s.Image == main.Image || main.Build != nil && s.Image == c.project+"-"+c.main)
}

func dockerfileOf(b *types.BuildConfig) string {
	if b.Dockerfile == "" {
		return "Dockerfile"
	}
	return path.Clean(b.Dockerfile)
}

// leaveOut says why a service is not the application's.
func (c *compose) leaveOut(name string) {
	s := c.services[name]
	image := imageName(s.Image)
	switch {
	case s.Build != nil && proxyName.MatchString(name), s.Build == nil && proxyImage.MatchString(image):
		c.note(c.file, "service %s is left out: the ingress controller is the proxy, and ends TLS", name)
	case s.Build != nil:
		c.note(c.file, "service %s has an image of its own (%s), so it is an application of its own: run berth new in its folder", name, path.Join(s.Build.Context, dockerfileOf(s.Build)))
	case mysqlImage.MatchString(image):
		c.note(c.file, "service %s (%s): berth runs PostgreSQL and SQLite; for another database put its address into .env and name it under secrets", name, s.Image)
	default:
		c.note(c.file, "service %s (%s) is left out: berth runs PostgreSQL and Valkey beside the application; put the address of one that runs elsewhere under env or secrets", name, s.Image)
	}
}

// checkDatabase says what berth's PostgreSQL does not have.
func (c *compose) checkDatabase(name string, s types.ServiceConfig) {
	if image := imageName(s.Image); !strings.HasPrefix(image, "postgres") {
		c.note(c.file, "service %s (%s): berth's PostgreSQL has its own extensions alone", name, s.Image)
	}
	for _, v := range s.Volumes {
		if strings.HasPrefix(v.Target, "/docker-entrypoint-initdb.d") {
			c.note(c.file, "service %s: %s is not run; do its work in the release command", name, v.Source)
		}
	}
}

// takeImage takes how the image is built, and how requests are answered.
func (c *compose) takeImage() {
	main := c.services[c.main]
	if main.Build == nil {
		c.Image = main.Image
	} else {
		c.takeBuild(main.Build)
	}
	fill(&c.Platform, main.Platform)
	if c.procfile && c.onlyWorks {
		return
	}
	var ports []string
	for _, port := range main.Ports {
		ports = append(ports, fmt.Sprintf("%d/%s", port.Target, port.Protocol))
	}
	for i, port := range ports {
		ports[i] = strings.TrimSuffix(strings.TrimSuffix(port, "/tcp"), "/")
	}
	c.takePorts(c.file, "ports", append(ports, main.Expose...))
	if h := main.HealthCheck; h != nil && !h.Disable && len(h.Test) > 1 && h.Test[0] != "NONE" {
		at, port, problem := healthOf(strings.Join(h.Test[1:], " "), nil)
		if problem != "" {
			c.note(c.file, "service %s: its healthcheck %s", c.main, problem)
		}
		c.Health, c.healthPort, c.healthFile = at, port, c.file
		fill(&c.Port, port)
	}
}

func (c *compose) takeBuild(b *types.BuildConfig) {
	switch {
	case b.DockerfileInline != "":
		c.note(c.file, "service %s: write build.dockerfile_inline into a file named Dockerfile", c.main)
		c.Dockerfile, c.Context = "Dockerfile", b.Context
	case strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@"):
		c.note(c.file, "service %s is built from %s: an image is built from a folder here", c.main, b.Context)
		return
	case path.IsAbs(b.Context) || strings.HasPrefix(path.Clean(b.Context), ".."):
		c.note(c.file, "service %s: its build context %s is outside of this folder: run berth new there", c.main, b.Context)
		return
	default:
		c.Context = path.Clean(b.Context)
		c.Dockerfile = path.Join(c.Context, dockerfileOf(b))
		if path.IsAbs(dockerfileOf(b)) || strings.HasPrefix(c.Dockerfile, "..") {
			c.note(c.file, "service %s: its Dockerfile %s is outside of this folder", c.main, b.Dockerfile)
			c.Dockerfile = ""
		}
	}
	c.Target = b.Target
	for _, name := range sorted(b.Args) {
		switch value := b.Args[name]; {
		case !isVariable(name):
			c.note(c.file, "build.args: %.60q is not a name of a variable", name)
		case value == nil || *value == "":
			c.note(c.file, "build.args: %s has no value there: give it one under build.args", name)
		case looksSecret(name, *value):
			c.note(c.file, "build.args: %s looks like a secret, and arguments stay in the image: use build.secrets", name)
		default:
			c.Args[name] = *value
		}
	}
	for _, secret := range b.Secrets {
		if isVariable(secret.Source) {
			c.BuildSecrets = append(c.BuildSecrets, secret.Source)
		} else {
			c.note(c.file, "build.secrets: %s must be named as a variable of .env is", secret.Source)
		}
	}
	if len(b.Platforms) > 0 {
		c.Platform = b.Platforms[0]
	}
	if len(b.AdditionalContexts) > 0 {
		c.note(c.file, "build.additional_contexts: an image is built from one folder")
	}
	if len(b.SSH) > 0 {
		c.note(c.file, "build.ssh: the build has no SSH agent; use build.secrets")
	}
}
