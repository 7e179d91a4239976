package scaffold

import (
	"regexp"
	"slices"
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

// copying is a COPY into the image.
type copying struct {
	sources []string
	to      string
}

// after returns what runs when the image's CMD is another one.
func (image dockerfile) after(c Command) Command {
	image.cmd = c
	return image.command()
}

// command returns what a container of the image runs.
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

// What the images are named of servers that applications have beside them.
var (
	postgresImage = regexp.MustCompile(`^(postgres|postgresql|postgis|pgvector|timescaledb|timescaledb-ha)$`)
	valkeyImage   = regexp.MustCompile(`^(valkey|redis|keydb|dragonfly|redis-stack|redis-stack-server|valkey-bundle)$`)
	proxyImage    = regexp.MustCompile(`^(nginx|traefik|caddy|haproxy|envoy|nginx-proxy|acme-companion|swag|nginx-proxy-manager)$`)
	mysqlImage    = regexp.MustCompile(`^(mysql|mariadb|percona)$`)
)

// basePort returns the port that an image's base serves on by itself, or 0.
func basePort(reference string) int {
	name := imageName(reference)
	if name == "php" && !strings.Contains(reference, "apache") {
		return 0
	}
	return bases[name]
}

// bases are the ports of images that serve as they come.
var bases = map[string]int{"nginx": 80, "httpd": 80, "caddy": 80, "nginx-unprivileged": 8080, "php": 80, "frankenphp": 80, "wordpress": 80, "tomcat": 8080, "jetty": 8080}

// imageName returns the last part of an image's name, without tag and digest.
func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name := reference[strings.LastIndexByte(reference, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}
