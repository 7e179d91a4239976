package scaffold

import (
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// classify finds the application among the services.
func (c *compose) classify() {
	c.stores, c.peers = map[string]string{}, map[string]bool{}
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
	for name := range c.services {
		c.peers[name] = slices.Contains(c.parts, name)
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

func dockerfileOf(b *types.BuildConfig) string {
	if b.Dockerfile == "" {
		return "Dockerfile"
	}
	return path.Clean(b.Dockerfile)
}
