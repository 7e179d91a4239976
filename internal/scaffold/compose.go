package scaffold

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
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
	// pending are variables that only the owner's shell has a value for.
	pending []string
	// mounts are files and folders that are not mounted.
	mounts []mount
}

// read takes what compose.yaml says of the image and of requests. The Dockerfile
// that it names has to be read before the rest can be understood, by takeParts.
func (c *compose) read() error {
	files, err := c.composeFiles()
	if err != nil || len(files) == 0 {
		return err
	}
	name := files[len(files)-1].name
	project, err := loadCompose(c.dir, files, c.Name)
	if err != nil {
		c.note(name, "is not read: %v", strings.ReplaceAll(err.Error(), c.dir+"/", ""))
		return nil
	}
	c.file, c.services, c.project = name, project.Services, project.Name
	c.Name = cmp.Or(label(project.Name, maxName), c.Name)
	for _, file := range files {
		c.Sources = append(c.Sources, file.name)
	}
	c.classify()
	if c.main != "" {
		c.takeImage()
	}
	return nil
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

// takeParts takes the services that run the application's image, once the
// Dockerfile is known.
func (c *compose) takeParts() error {
	if c.main == "" {
		return nil
	}
	main := c.services[c.main]
	c.onlyWorks = c.onlyWorks || !c.procfile && c.Port == 0 && basePort(c.docker.base) == 0 &&
		portOf(c.docker.after(Command{List: main.Command})) == 0 && !webName.MatchString(c.main)
	for _, name := range c.parts {
		s := c.services[name]
		c.takeFiles(name, s)
		switch {
		case c.procfile:
			if name != c.main {
				c.note(c.file, "service %s: the Procfile says what runs", name)
			}
		case name == c.main && !c.onlyWorks:
			c.takeMain(s)
		default:
			c.takeProcess(name, s)
		}
	}
	c.sayWhatIsMissing()
	// What the others have beside the main service's is their own.
	c.takeEnvironment(main, c.Env)
	for _, name := range c.parts {
		if name == c.main {
			continue
		}
		own := map[string]string{}
		c.takeEnvironment(c.services[name], own)
		if p, ok := c.Processes[name]; ok {
			for variable, value := range own {
				if known, ok := c.Env[variable]; ok && known == value {
					delete(own, variable)
				}
			}
			p.Env = own
			c.Processes[name] = p
		}
	}
	return nil
}

// notePending says what no file had a value for.
func (c *compose) notePending() {
	for _, name := range c.pending {
		if !c.knows(name) {
			c.note(c.file, "environment: %s has its value from the shell: give it one under env, or under secrets and in .env", name)
		}
	}
}
