package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

// folder writes files into a folder of their own; secret ones get mode 0600.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, ".") {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const minimal = `
name: tiny
dockerfile: Dockerfile
port: 80
environments:
  staging: {hosts: [staging.tiny.localhost]}
  production: {hosts: [tiny.localhost]}
`

func TestLoadFillsInTheDefaults(t *testing.T) {
	dir := folder(t, map[string]string{File: minimal})
	c, err := Load(dir, []string{"XDG_STATE_HOME=/state"})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Name: "tiny", Provider: "local", Dockerfile: "Dockerfile", Context: ".", Port: 80, Health: Health{Path: "/", Timeout: Duration(3 * time.Second)},
		Environments: map[string]Environment{
			"staging":    {Hosts: []string{"staging.tiny.localhost"}, Database: NoDatabase, Replicas: 1},
			"production": {Hosts: []string{"tiny.localhost"}, Database: NoDatabase, Replicas: 1},
		},
		Local:    Local{Nodes: 1, HTTP: "127.0.0.1:8080", HTTPS: "127.0.0.1:8443", Network: "10.118.0.0/16"},
		Existing: Existing{IngressClass: "nginx"},
		DigitalOcean: DigitalOcean{
			Cluster: "tiny", Region: "fra1", Nodes: 2, Size: "s-2vcpu-4gb", Maintenance: "sunday 04:00",
			Ingress: IngressF5, IngressClass: "nginx", Certificates: NoCertificates, StorageClass: "do-block-storage",
		},
		Dir: dir, StateDir: "/state/berth", DotEnv: map[string]string{},
	}
	c.order, c.lines = nil, nil
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestTheRepositorysOwnFileIsGood(t *testing.T) {
	c, err := Load("../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.EnvironmentNames(); !cmp.Equal(got, []string{"staging", "production"}) {
		t.Errorf("environments are deployed in the order %v", got)
	}
	sample, err := os.ReadFile("../../.env.sample")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDotEnv(string(sample)); err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Secrets {
		if !strings.Contains(string(sample), "\n#"+name+"=\n") {
			t.Errorf(".env.sample does not have %s", name)
		}
	}
}

func TestEnvironmentsKeepTheOrderOfTheFile(t *testing.T) {
	c, err := Load(folder(t, map[string]string{File: minimal}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.EnvironmentNames(); !cmp.Equal(got, []string{"staging", "production"}) {
		t.Errorf("got %v", got)
	}
	delete(c.Environments, "staging")
	if got := c.EnvironmentNames(); !cmp.Equal(got, []string{"production"}) {
		t.Errorf("after a change: got %v", got)
	}
}

func TestMistakesAreNamedWithTheirLines(t *testing.T) {
	for _, test := range []struct {
		name, source string
		want         []string
	}{
		{"empty", "", []string{"berth.yaml is empty"}},
		{"no YAML", "a: [", []string{"berth.yaml: line 1: a [ or { is not closed, or a value is missing"}},
		{"two documents", minimal + "---\nname: other\n", []string{"more than one YAML document"}},
		{"not a mapping", "- a", []string{"must be a mapping of keys to values; it is a list"}},
		{"a key misspelt", "prot: 80\n", []string{`line 1: prot: there is no such key; did you mean "port"?`}},
		{"a key in the wrong case", "existing: {ingressclass: x}\n", []string{`did you mean "ingressClass"?`}},
		{"a key that is like none", "environments:\n  staging:\n    colour: red\n",
			[]string{"line 3: environments.staging.colour: there is no such key; the keys here are hosts, database, databaseVersion, replicas, env, secrets, processes, upstreamTLS, backup, rehearse, judge, values"}},
		{"a time to judge that is none", "judge: 5s\nenvironments: {staging: {judge: soon}}\n", []string{
			`line 1: judge: must be a duration from 10s to 10m0s like 60s, or never; it is "5s"`,
			`line 2: environments.staging.judge: must be a duration from 10s to 10m0s like 60s, or never; it is "soon"`,
		}},
		{"a key written twice", "name: a\nname: b\n", []string{"line 2: name: is written twice, first in line 1"}},
		{"wrong kinds", "port: eighty\nsecrets: A\nenv: [A]\nname: {}\n", []string{
			"berth.yaml has 4 mistakes",
			`line 1: port: must be a whole number; it is "eighty"`,
			`line 2: secrets: must be a list, like [A]; it is "A"`,
			"line 3: env: must be a mapping of keys to values; it is a list",
			"line 4: name: must be a text; it is a mapping",
		}},
		{"all that is needed is missing", "provider: local\n", []string{"name: must be a DNS label", "dockerfile: must name", "port: must be 1 to 65535; it is 0", "environments: must hold at least one"}},
		{"values without meaning", `name: Tiny_App
provider: heroku
image: a b
dockerfile: /etc/Dockerfile
port: 70000
health: healthz
env: {DATABASE_URL: x, "1A": y, SECRET: z}
secrets: ["A-B", SECRET, TOKEN, TOKEN]
environments:
  kube-system: {hosts: [a.example]}
  Bad_Name: {hosts: [b.example]}
  staging: {hosts: [A.example, a.example], database: mysql, replicas: -1}
  production: {hosts: [], database: sqlite, replicas: 2}
local: {nodes: -1, size: big, http: ":8080", https: localhost:8443, network: 10.1.0.0/24}
`, []string{
			`line 1: name: must be a DNS label`,
			`line 2: provider: must be one of local, digitalocean, existing; it is "heroku"`,
			`line 3: image: must be left out where there is a dockerfile`,
			`line 4: dockerfile: must be relative`,
			`line 5: port: must be 1 to 65535; it is 70000`,
			`line 6: health: must be a path`,
			`env.1A: must be the name of an environment variable`,
			`secrets[0]: must be the name`,
			`secrets[1]: SECRET is in env already`,
			`secrets[3]: TOKEN is named twice`,
			`line 10: environments.kube-system: the name is that of a namespace`,
			`line 11: environments.Bad_Name: the name must be a DNS label`,
			`line 12: environments.staging.hosts[0]: must be a DNS name in lower case`,
			`line 12: environments.staging.hosts[1]: a.example is a host of kube-system already`,
			`line 12: environments.staging.database: must be none, sqlite or postgres; it is "mysql"`,
			`line 12: environments.staging.replicas: must be 1 or more; it is -1`,
			`line 13: environments.production.hosts: must hold at least one host`,
			`line 13: environments.production.replicas: must be 1 with sqlite`,
			`line 14: local.nodes: must be 1 or more`,
			`line 14: local.size: must be a size like s-2vcpu-4gb; it is "big"`,
			`line 14: local.http: must be an IP address and a port`,
			`line 14: local.https: must be an IP address and a port`,
			`line 14: local.network: must be a private IPv4 /16`,
		}},
		{"an existing cluster without its settings", minimal + "provider: existing\nexisting: {bucket: {name: b}}\n", []string{
			"existing.kubeconfig: must name", "existing.context: must name a context", "existing.registry: must say", "existing.bucket: must have both",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(folder(t, map[string]string{File: test.source}), nil)
			if err == nil || !fault.IsUsage(err) {
				t.Fatalf("got %v, want a mistake in the call", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in:\n%v", want, err)
				}
			}
		})
	}
}

func TestValidateSeesWhatWasChangedAfterLoad(t *testing.T) {
	c, err := Load(folder(t, map[string]string{File: minimal}), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Provider = "existing"
	if err := c.Validate(); !fault.IsUsage(err) {
		t.Errorf("got %v", err)
	}
}

func TestJudgeOfAnEnvironmentGoesBeforeTheApplications(t *testing.T) {
	const environments = "environments: {staging: {hosts: [a.localhost]%s}}\nname: tiny\nimage: tiny:1\nport: 80\n"
	for _, test := range []struct {
		application, environment string
		want                     time.Duration
	}{
		{"", "", 0},
		{"judge: 60s\n", "", time.Minute},
		{"judge: 60s\n", ", judge: 2m", 2 * time.Minute},
		{"judge: 60s\n", ", judge: never", 0},
		{"judge: never\n", ", judge: 10s", 10 * time.Second},
	} {
		c, err := Load(folder(t, map[string]string{File: test.application + fmt.Sprintf(environments, test.environment)}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.JudgeOf("staging"); got != test.want {
			t.Errorf("%q and %q: %s, want %s", test.application, test.environment, got, test.want)
		}
	}
}

func TestHelmValuesAreLeftAsTheyAre(t *testing.T) {
	c, err := Load(folder(t, map[string]string{File: `
name: tiny
image: ghcr.io/me/tiny:1.0
port: 80
env: {DEBUG: true, LEVEL: 3}
environments:
  staging:
    hosts: [tiny.localhost]
    values: {resources: {limits: {cpu: 2, any: [1, a]}}}
`}), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": 2, "any": []any{1, "a"}}}}
	if diff := cmp.Diff(want, c.Environments["staging"].Values); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"DEBUG": "true", "LEVEL": "3"}, c.Env); diff != "" {
		t.Error(diff)
	}
}

func TestTheProcessEnvironmentGoesBeforeDotEnvForKnownNames(t *testing.T) {
	dir := folder(t, map[string]string{
		File:   minimal + "secrets: [TOKEN, OTHER]\n",
		".env": "TOKEN=file\nOTHER=file\nUNKNOWN=file\n",
	})
	c, err := Load(dir, []string{"TOKEN=process", "STAGING_TOKEN=own", "UNKNOWN=process", "BUCKET_ACCESS_KEY=key", "HOME=/root"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"TOKEN": "process", "STAGING_TOKEN": "own", "OTHER": "file", "UNKNOWN": "file", "BUCKET_ACCESS_KEY": "key"}
	if diff := cmp.Diff(want, c.DotEnv); diff != "" {
		t.Error(diff)
	}
}

func TestFilesOfSecretsMustBePrivate(t *testing.T) {
	for _, name := range []string{".env", ".s3cfg"} {
		dir := folder(t, map[string]string{File: minimal, name: ""})
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir, nil)
		if !fault.IsUsage(err) || fault.Hint(err) != "chmod 600 "+name {
			t.Errorf("%s: got %v, hint %q", name, err, fault.Hint(err))
		}
	}
}

func TestS3cfgFillsWhatIsOpenAboutTheBucket(t *testing.T) {
	dir := folder(t, map[string]string{
		File:   minimal + "existing: {bucket: {name: backups}}\n",
		".env": "BUCKET_ACCESS_KEY=mine\n",
		".s3cfg": `[default]
access_key = theirs
secret_key = s3cr=t#%
host_base = fra1.digitaloceanspaces.com
host_bucket = %(bucket)s.fra1.digitaloceanspaces.com
bucket_location = fra1
; another account
[other]
secret_key = no
`})
	c, err := Load(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Bucket{Endpoint: "fra1.digitaloceanspaces.com", Region: "fra1", Name: "backups"}, c.Existing.Bucket); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"BUCKET_ACCESS_KEY": "mine", "BUCKET_SECRET_KEY": "s3cr=t#%"}, c.DotEnv); diff != "" {
		t.Error(diff)
	}
}

func TestTheEndpointOfS3cfg(t *testing.T) {
	for source, want := range map[string]string{
		"host_base = s3.example.com":                    "s3.example.com",
		"host_bucket = %(bucket)s.s3.example.com":       "s3.example.com",
		"host_base = 127.0.0.1:7070\nuse_https = False": "http://127.0.0.1:7070",
		"use_https = False":                             "",
	} {
		values, err := parseS3cfg([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		if got := endpoint(values); got != want {
			t.Errorf("%q: got %q, want %q", source, got, want)
		}
	}
	for _, source := range []string{"[default", "secret_key"} {
		if _, err := parseS3cfg([]byte(source)); !fault.IsUsage(err) {
			t.Errorf("%q: got %v", source, err)
		}
	}
}

func TestFindLooksUpwards(t *testing.T) {
	dir := folder(t, map[string]string{File: minimal})
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(below); err != nil || got != dir {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Find("/"); !fault.IsUsage(err) || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheStateFolder(t *testing.T) {
	for _, test := range []struct {
		environ []string
		uid     int
		want    string
	}{
		{nil, 0, "/var/lib/berth"},
		{[]string{"HOME=/home/ann"}, 1000, "/home/ann/.local/state/berth"},
		{[]string{"HOME=/home/ann", "XDG_STATE_HOME=/s"}, 1000, "/s/berth"},
		{[]string{"XDG_STATE_HOME=/s"}, 0, "/s/berth"},
		{[]string{"XDG_STATE_HOME=relative"}, 0, "/var/lib/berth"},
	} {
		if got := stateDir(environmentMap(test.environ), test.uid); got != test.want {
			t.Errorf("%v as %d: got %s, want %s", test.environ, test.uid, got, test.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	if got, err := ParseSize("s-2vcpu-4gb"); err != nil || got != (Size{CPUs: 2, Memory: 4 << 30}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "s-0vcpu-4gb", "s-2vcpu-4GB", "s-2vcpu-4gb-intel", "2vcpu-4gb", "s-2vcpu-99999gb", "s-02vcpu-4gb"} {
		if _, err := ParseSize(bad); !fault.IsUsage(err) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
