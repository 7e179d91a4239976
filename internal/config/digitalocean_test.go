package config

import (
	"os"
	"strings"
	"testing"
)

func TestDigitalOceanNeedsLittle(t *testing.T) {
	c := load(t, minimal+`
provider: digitalocean
digitalocean: {bucket: tiny-backups, registry: ghcr.io/me}
`)
	if d := c.DigitalOcean; d.Cluster != "tiny" || d.Nodes != 2 || d.Certificates != NoCertificates || d.HighAvailability {
		t.Errorf("got %+v", d)
	}
}

func TestMistakesUnderDigitalOceanAreNamed(t *testing.T) {
	for _, c := range []struct{ settings, want string }{
		{`{registry: ghcr.io/me}`, "digitalocean.bucket: must name the Space"},
		{`{bucket: My_Bucket, registry: ghcr.io/me}`, `digitalocean.bucket: must be 3 to 63 lower-case letters`},
		{`{bucket: good, state: good, registry: ghcr.io/me}`, "digitalocean.state: must be another Space"},
		{`{bucket: good}`, "digitalocean.registry: must say where built images go"},
		{`{bucket: good, registry: ghcr.io/me, containerRegistry: mine}`, "digitalocean.containerRegistry: must be left out"},
		{`{bucket: good, registry: ghcr.io/me, version: 1.34.1}`, "digitalocean.version: must be a minor version"},
		{`{bucket: good, registry: ghcr.io/me, nodes: 3, maxNodes: 2}`, "digitalocean.maxNodes: must be nodes or more"},
		{`{bucket: good, registry: ghcr.io/me, maintenance: sundays}`, "digitalocean.maintenance: must be a day"},
		{`{bucket: good, registry: ghcr.io/me, ingress: traefik}`, "digitalocean.ingress: must be one of f5, none"},
		{`{bucket: good, registry: ghcr.io/me, certificates: letsencrypt, ingress: none}`, "digitalocean.certificates: must be none"},
		{`{bucket: good, registry: ghcr.io/me, highAvailability: 1}`, "digitalocean.highAvailability: must be true or false"},
		{`{bucket: good, registry: ghcr.io/me, size: "s 1"}`, "digitalocean.size: must be a slug"},
	} {
		text := minimal + "provider: digitalocean\ndigitalocean: " + c.settings + "\n"
		_, err := Load(folder(t, map[string]string{File: text}), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %q", c.settings, err, c.want)
		}
	}
}

func TestTheEnvironmentMayGiveDigitalOceansCredentials(t *testing.T) {
	dir := folder(t, map[string]string{File: minimal, ".env": "DIGITALOCEAN_TOKEN=from-file\n"})
	c, err := Load(dir, []string{"DIGITALOCEAN_TOKEN=from-environment", "SPACES_ACCESS_KEY_ID=key"})
	if err != nil {
		t.Fatal(err)
	}
	if c.DotEnv[DigitalOceanToken] != "from-environment" || c.DotEnv[SpacesAccessKey] != "key" {
		t.Error("the environment does not go before .env")
	}
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(folder(t, map[string]string{File: text}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a stranger copies out of the documentation is a whole berth.yaml.
func TestTheDocumentedFileIsWhole(t *testing.T) {
	text, err := os.ReadFile("../../docs/digitalocean.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	snippet, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("there is no snippet")
	}
	snippet = strings.ReplaceAll(snippet, "\n   ", "\n")
	for _, written := range []string{snippet, strings.Replace(snippet, "registry: ghcr.io/me", "containerRegistry: my-shop", 1)} {
		c, err := Load(folder(t, map[string]string{File: strings.TrimPrefix(written, "   "), "Dockerfile": "FROM scratch"}), nil)
		if err != nil {
			t.Errorf("%v\n%s", err, written)
		} else if c.Provider != "digitalocean" || c.DigitalOcean.Cluster != "my-shop" {
			t.Errorf("it describes %+v", c.DigitalOcean)
		}
	}
}
