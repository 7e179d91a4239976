package config

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"

	"berth/internal/fault"
)

// File is the name of the file that describes the application.
const File = "berth.yaml"

// Find returns the folder of the nearest berth.yaml in dir or above it.
func Find(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := start; ; at = filepath.Dir(at) {
		_, err := os.Stat(filepath.Join(at, File))
		switch {
		case err == nil:
			return at, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case at == filepath.Dir(at):
			return "", noFile(start, " or above it")
		}
	}
}

// Load reads berth.yaml, .env and .s3cfg in dir, and what environ, in the form
// of [os.Environ], says of the same names. All mistakes of berth.yaml come in
// one error, which [fault.IsUsage] knows.
func Load(dir string, environ []string) (*Config, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noFile(dir, "")
	}
	if err != nil {
		return nil, err
	}
	c, err := parse(source)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	environment := environmentMap(environ)
	if environment["HOME"] == "" {
		// Services are often started without it.
		if who, err := user.Current(); err == nil {
			environment["HOME"] = who.HomeDir
		}
	}
	c.StateDir = stateDir(environment, os.Getuid())
	c.Existing.Kubeconfig = expandHome(c.Existing.Kubeconfig, environment["HOME"])
	if c.Existing.Kubeconfig != "" {
		c.Existing.Kubeconfig = c.Path(c.Existing.Kubeconfig)
	}

	if c.DotEnv, err = readDotEnv(c.Path(".env")); err != nil {
		return nil, err
	}
	for _, name := range c.knownVariables() {
		// CI systems set what they have no value for to nothing. That must not
		// empty a secret.
		if value := environment[name]; value != "" {
			c.DotEnv[name] = value
		}
	}
	if err := c.readS3cfg(); err != nil {
		return nil, err
	}
	if err := c.checkAlerts(); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// Check reports every mistake in the source of a berth.yaml, as [Load] does,
// without the files beside it.
func Check(source []byte) error {
	c, err := parse(source)
	if err != nil {
		return err
	}
	return c.Validate()
}

// almost are the names that people and editors give [File].
var almost = regexp.MustCompile(`(?i)^\.?berth\.ya?ml(\.txt)?$`)

func noFile(dir, more string) error {
	entries, _ := os.ReadDir(dir) // where there is none, there is none by another name
	for _, entry := range entries {
		if other := entry.Name(); almost.MatchString(other) {
			return fault.WithHint(fault.Usage("there is no %s in %s, but %s", File, dir, other), "mv %s %s", other, File)
		}
	}
	return fault.WithHint(
		fault.Usage("there is no %s in %s%s", File, dir, more),
		"run berth in your application's folder, or name it with --dir; berth new writes a %s for it", File)
}

// knownVariables are the names that the process environment may override.
func (c *Config) knownVariables() []string {
	names := []string{BerthRelease, BucketAccessKey, BucketSecretKey, LogsBucketAccessKey, LogsBucketSecretKey, BackupWebhook, BackupIdentity, LogsEndpoint, LogsSourceID, LogsAPIKey, AlertsURL, AlertsPingURL}
	names = append(names, DigitalOceanToken, SpacesAccessKey, SpacesSecretKey, DigitalOceanAPIURL, SpacesEndpointURL)
	names = append(names, c.Build.Secrets...)
	for environment := range c.Environments {
		for _, secret := range c.SecretsOf(environment) {
			names = append(names, secret, OwnSecret(environment, secret), PreviewSecret(secret))
		}
	}
	return names
}

// stateDir follows the XDG Base Directory Specification, except that root,
// whose cluster belongs to the machine, keeps its state where services do.
func stateDir(environment map[string]string, uid int) string {
	// The specification says to ignore a path that is not absolute.
	if base := environment["XDG_STATE_HOME"]; filepath.IsAbs(base) {
		return filepath.Join(base, "berth")
	}
	if uid == 0 {
		return "/var/lib/berth"
	}
	return filepath.Join(environment["HOME"], ".local", "state", "berth")
}

func expandHome(path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return path
}

func environmentMap(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			m[name] = value
		}
	}
	return m
}
