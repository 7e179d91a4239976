package config

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"berth/internal/fault"
)

// OwnSecret is the entry of .env that holds a secret for one environment alone:
// PRODUCTION_CONDUIT_SECRET goes before CONDUIT_SECRET in production.
func OwnSecret(environment, name string) string {
	return strings.ToUpper(strings.ReplaceAll(environment, "-", "_")) + "_" + name
}

// SecretValues returns the secrets that the application gets in one environment.
// One that has no value is an error: an application must not start without a
// secret that it was promised.
func (c *Config) SecretValues(environment string) (map[string]string, error) {
	values := map[string]string{}
	var missing []string
	for _, name := range c.Secrets {
		value := c.DotEnv[OwnSecret(environment, name)]
		if value == "" {
			value = c.DotEnv[name]
		}
		if value == "" {
			missing = append(missing, name)
		}
		values[name] = value
	}
	if len(missing) > 0 {
		return nil, fault.WithHint(
			fault.Usage("no value for %s, which %s names as secrets", strings.Join(missing, ", "), File),
			"copy .env.sample to .env, chmod 600 .env, and fill it in; openssl rand -hex 32 makes a good secret")
	}
	return values, nil
}

// MakeSecrets makes up the secrets that have no value and appends them to .env,
// one for each environment, so that what one signs is worth nothing in another.
// It returns the names of the new entries.
func (c *Config) MakeSecrets() ([]string, error) {
	var names []string
	var lines strings.Builder
	for _, environment := range c.EnvironmentNames() {
		for _, secret := range c.Secrets {
			name := OwnSecret(environment, secret)
			if c.DotEnv[name] != "" || c.DotEnv[secret] != "" {
				continue
			}
			random := make([]byte, 32)
			rand.Read(random) // never fails, as crypto/rand documents
			c.DotEnv[name] = hex.EncodeToString(random)
			names = append(names, name)
			lines.WriteString(formatVariable(name, c.DotEnv[name]) + "\n")
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	file, err := os.OpenFile(c.Path(".env"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the new secrets: %w", err)
	}
	defer file.Close()
	before, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	text := lines.String()
	if len(before) > 0 && before[len(before)-1] != '\n' {
		text = "\n" + text
	}
	if _, err := file.WriteString(text); err != nil {
		return nil, fmt.Errorf("keep the new secrets: %w", err)
	}
	return names, file.Close()
}
