package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"berth/internal/fault"
)

// Build says how the image is made from its Dockerfile.
type Build struct {
	// Args are the values of the Dockerfile's ARGs.
	Args map[string]string `yaml:"args"`
	// Secrets names entries of .env that RUN --mount=type=secret,id=NAME finds.
	// They are in no layer of the image.
	Secrets []string `yaml:"secrets"`
	// Target is the stage to build; empty builds the last one.
	Target string `yaml:"target"`
	// Platform as "linux/amd64"; empty builds for the builder's own.
	Platform string `yaml:"platform"`
}

// BuildSecrets returns the secrets of the build with their values of .env.
func (c *Config) BuildSecrets() (map[string]string, error) {
	values := map[string]string{}
	var missing []string
	for _, name := range c.Build.Secrets {
		value, ok := c.DotEnv[name]
		if !ok {
			missing = append(missing, name)
		}
		values[name] = value
	}
	if len(missing) > 0 {
		return nil, fault.WithHint(
			fmt.Errorf("no value for the secret %s of the build", strings.Join(missing, ", ")),
			"add it to .env: %s=…", missing[0])
	}
	return values, nil
}

var (
	// imageReference is what a registry with a path is made of.
	imageReference = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._/:@-]*$`)
	platform       = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`)
	stage          = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)
)

func (c *Config) validateImage(m *mistakes) {
	switch {
	case c.Image == "" && c.Dockerfile == "":
		m.add("dockerfile", "must name a Dockerfile, or image a built image")
	case c.Image != "" && c.Dockerfile != "":
		m.add("image", "must be left out where there is a dockerfile, as only one of them can be released")
	case c.Image != "" && NotAnImage(c.Image) != "":
		m.add("image", "must be a reference like ghcr.io/me/app:1.0: %s; it is %q", NotAnImage(c.Image), c.Image)
	case c.Image != "" && m.has("build"):
		m.add("build", "must be left out where there is an image, as nothing is built")
	}
	for key, path := range map[string]string{"dockerfile": c.Dockerfile, "context": c.Context} {
		if filepath.IsAbs(path) {
			m.add(key, "must be relative to the folder of %s; it is %q", File, path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Build.Args)) {
		if !isVariable(name) {
			m.add("build.args."+name, "must be the name of an ARG: letters, digits and _")
		}
	}
	checkNames(m, "build.secrets", c.Build.Secrets)
	if c.Build.Target != "" && !stage.MatchString(c.Build.Target) {
		m.add("build.target", "must be the name of a stage of the Dockerfile; it is %q", c.Build.Target)
	}
	if c.Build.Platform != "" && !platform.MatchString(c.Build.Platform) {
		m.add("build.platform", "must be a platform like linux/amd64; it is %q", c.Build.Platform)
	}
}

// NotAnImage says why the reference of an image is none; "" where it is one.
func NotAnImage(image string) string {
	_, err := reference.ParseNormalizedNamed(image)
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "invalid reference format: ")
}
