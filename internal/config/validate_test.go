package config

import (
	"strings"
	"testing"

	"berth/internal/fault"
)

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
