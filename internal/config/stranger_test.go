package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/fault"
)

// What people write who come from Compose, Heroku or a blog is one line that says
// what to write instead, with the right number.
func TestStrangersMistakes(t *testing.T) {
	const plain = "name: tiny\nimage: nginx:1\nport: 80\nenvironments: {staging: {hosts: [a.localhost]}}\n"
	cron := func(schedule string) string {
		return plain + "processes:\n  cron: {command: x, schedule: '" + schedule + "'}\n"
	}
	for _, test := range []struct{ name, source, want string }{
		// What is no YAML.
		{"a tab", "name: tiny\nenv:\n\tA: 1\nport: 80\n", "line 3: is indented by a tab; YAML takes only spaces"},
		{"a tab below spaces", "name: tiny\nenv:\n  A: 1\n\tB: 1\n", "line 4: is indented by a tab"},
		{"a bracket that stays open", "name: tiny\nport: 80\nenvironments:\n  staging:\n    hosts: [a.localhost\nimage: x\n", "line 5: a [ or { is not closed"},
		{"a quote that stays open", "name: tiny\nenv:\n  A: \"x\n  B: y\nport: 80\n", "line 3: a quote is not closed"},
		{"a cron expression without quotes", "name: tiny\nprocesses:\n  cron:\n    schedule: * * * * *\n", `line 4: a value that begins with "*" must be in quotes`},
		{"a wildcard without quotes", "name: tiny\nenvironments:\n  staging:\n    hosts: [*.shop.example]\n", `line 4: a value that begins with "*" must be in quotes`},
		{"an anchor that is none", "name: tiny\nenv:\n  A: *b\n", `line 3: a value that begins with "*" must be in quotes`},
		{"an alias without quotes", "name: tiny\nprocesses:\n  cron:\n    command: x\n    schedule: @daily\n", `line 5: a value that begins with "@" must be in quotes`},
		{"a percent sign", "name: tiny\nenv:\n  A: %x\n", `line 3: a value that begins with "%" must be in quotes`},
		{"a colon in a text", "name: tiny\nenv:\n  A: a: b\n", "line 3: a text with a colon and a space in it must be in quotes, and the keys of one mapping must begin in one column"},
		{"a key too far to the right", "name: tiny\n image: x\n", "line 2: a text with a colon"},
		{"a key between two columns", "name: tiny\nenvironments:\n  staging:\n    hosts: [a.localhost]\n   database: postgres\n", "line 5: does not fit the lines above: the keys of one mapping must begin in one column"},
		{"text after a quote", "name: tiny\nenv:\n  A: \"x\" y\n", "line 3: does not fit the lines above"},
		{"a list alone", "- name: tiny\n", "berth.yaml: must be a mapping of keys to values; it is a list"},

		// Words of other tools.
		{"Compose's word for variables", plain + "environment: {A: b}\n", `line 5: environment: there is no such key; did you mean "environments", or "env" for variables?`},
		{"Compose's healthcheck", plain + "healthcheck: /up\n", `line 5: healthcheck: there is no such key; did you mean "health"?`},
		{"a cmd", plain + "processes: {w: {cmd: x}}\n", `processes.w.cmd: there is no such key; did you mean "command"?`},
		{"a domain", plain + "domain: a.example\n", `line 5: domain: there is no such key; did you mean "hosts" below environments.NAME?`},
		{"an environment's key at the top", plain + "replicas: 2\ndatabase: postgres\n", "line 6: database: is a key of each environment: write it below environments.NAME"},
		{"the application's key below an environment", "name: tiny\nenvironments:\n  staging:\n    port: 80\n", "line 4: environments.staging.port: is a key of the whole application: write it at the top of the file"},
		{"a merge of no mapping", plain + "env:\n  <<: a text\n", "line 6: <<: must be another mapping, like *common, or a list of them"},
		{"a merge of a list with a text", plain + "env:\n  <<: [{A: b}, c]\n", "line 6: <<: must be another mapping, like *common, or a list of them"},
		{"a merged key that is none", plain + "processes:\n  a: &a {command: x, commands: y}\n  b:\n    <<: *a\n", `commands: there is no such key; did you mean "command"?`},
		{"a process as a text", plain + "processes: {w: python w.py}\n", "processes.w: must be a mapping with command, replicas, schedule, timeZone, deadline, resources, env; it is \"python w.py\""},
		{"a release as a text", plain + "release: rake db:migrate\n", "release: must be a mapping with command, timeout; it is"},
		{"a volume as a text", plain + "volumes: {uploads: /app/uploads}\n", "volumes.uploads: must be a mapping with path, size; it is"},
		{"one host", "name: tiny\nenvironments: {staging: {hosts: a.localhost}}\n", "hosts: must be a list, like [a.localhost]; it is \"a.localhost\""},
		{"a number in quotes", "name: tiny\nport: \"8080\"\n", "line 2: port: must be a whole number without quotes; it is \"8080\""},
		{"Redis", plain + "services: {cache: redis}\n", "services.cache: must be valkey, which clients of Redis speak to; it is \"redis\""},

		// Cron.
		{"@daily", cron("@daily"), `must be five fields of cron like "0 3 * * *"; "@daily" is "0 0 * * *"`},
		{"@every", cron("@every 5m"), `it is "@every 5m"`},
		{"seconds", cron("0 0 3 * * *"), `it is "0 0 3 * * *", which has 6`},
		{"Sunday as 7", cron("0 3 * * 7"), "it is \"0 3 * * 7\": end of range (7) above maximum (6): 7; Sunday is 0"},
		{"an hour that is none", cron("0 25 * * *"), "end of range (25) above maximum (23): 25"},
		{"a day that never comes", cron("0 3 31 2 *"), `"0 3 31 2 *" never comes`},
		{"a zone in it", cron("TZ=Europe/Berlin 0 3 * * *"), "the zone is timeZone's"},
		{"the zone in lower case", plain + "processes: {cron: {command: x, schedule: '0 3 * * *', timeZone: europe/berlin}}\n", "timeZone: must be a time zone like Europe/Berlin"},

		// Commands.
		{"a command line as a list of one", plain + "command: [\"gunicorn app:app --bind :80\"]\n", `line 5: command: "gunicorn app:app --bind :80" is one word of a list, and no program has blanks in its name: write the command as a text`},
		{"a shell's word in a list", plain + "release: {command: [rake, 'db:migrate', '&&', rake, seed]}\n", `release.command: "&&" is for a shell, and a list is run without one: write the command as a text`},

		// Values.
		{"no replicas", "name: tiny\nimage: nginx:1\nport: 80\nenvironments:\n  staging: {hosts: [a.localhost], replicas: 0}\n", "line 5: environments.staging.replicas: must be 1 or more; it is 0"},
		{"no nodes", plain + "local: {nodes: 0}\n", "local.nodes: must be 1 or more; it is 0"},
		{"500 CPUs", plain + "resources: {cpu: 500}\n", `resources.cpu: must be CPUs, like 2, 0.5 or 250m for a quarter; it is "500"`},
		{"a query", plain + "health: /up?full=1\n", "health: must be a path without a query; it is \"/up?full=1\""},
		{"a URL", plain + "health: http://localhost/up\n", "health: must be the path alone, like /up; it is \"http://localhost/up\""},
		{"a URL as a host", "name: tiny\nimage: nginx:1\nport: 80\nenvironments: {staging: {hosts: ['https://shop.example/']}}\n", `hosts[0]: must be a name alone, without scheme, port and path; it is "https://shop.example/"`},
		{"a port in a host", "name: tiny\nimage: nginx:1\nport: 80\nenvironments: {staging: {hosts: ['shop.example:8443']}}\n", `must be a name alone, without scheme, port and path`},
		{"an address as a host", "name: tiny\nimage: nginx:1\nport: 80\nenvironments: {staging: {hosts: [192.0.2.1]}}\n", `must be a DNS name, not an address; it is "192.0.2.1"`},
		{"a host in another script", "name: tiny\nimage: nginx:1\nport: 80\nenvironments: {staging: {hosts: [münchen.example]}}\n", `must be a DNS name in ASCII, which is xn--mnchen-3ya.example; it is "münchen.example"`},
		{"a label that is too long", "name: tiny\nimage: nginx:1\nport: 80\nenvironments: {staging: {hosts: [" + strings.Repeat("a", 64) + ".example]}}\n", "must have at most 63 characters between two dots"},
		{"upper case in an image", "name: tiny\nimage: ghcr.io/Me/app:1\nport: 80\nenvironments: {staging: {hosts: [a.localhost]}}\n", `image: must be a reference like ghcr.io/me/app:1.0: repository name (Me/app) must be lowercase; it is "ghcr.io/Me/app:1"`},
		{"a shell's reference", plain + "references: {X: '${DATABASE_URL}', Y: $PORT}\n", `references.X: "${DATABASE_URL}" would stay as it is: a reference is written $(DATABASE_URL)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(folder(t, map[string]string{File: test.source}), nil)
			if err == nil || !fault.IsUsage(err) {
				t.Fatalf("got %v, want a mistake", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// What looks unusual and is right.
func TestStrangersRights(t *testing.T) {
	const plain = "name: tiny\nimage: nginx:1\nport: 80\n"
	for _, source := range []string{
		plain + "environments: {staging: &s {hosts: [a.localhost], env: &e {A: b}}, production: {hosts: ['*.a.localhost'], env: *e}}\n",
		"\ufeff" + strings.ReplaceAll(plain+"environments:\n  staging:\n    hosts:\n    - xn--mnchen-3ya.example\n", "\n", "\r\n"),
		`{"name": "tiny", "image": "nginx:1", "port": 80, "environments": {"staging": {"hosts": ["a.localhost"]}}}`,
		"---\n" + plain + "command: >\n  a |\n  b && c\nenvironments: {staging: {hosts: [a.localhost], replicas: }}\n...\n",
		plain + "command: ['/bin/sh', '-c', 'a && b']\nresources: {memory: 0.5Gi, cpu: .5}\nenvironments: {staging: {hosts: [a.localhost]}}\n",
		plain + "processes: {a: {command: x, schedule: '0 3 * * MON-FRI'}, b: {command: x, schedule: '*/5 0 29 2 *', timeZone: America/New_York}}\nenvironments: {staging: {hosts: [a.localhost]}}\n",
		"name: tiny\nimage: registry.example:5000/me/app-x/y@sha256:" + strings.Repeat("a", 64) + "\nport: 80\nenvironments: {staging: {hosts: [a.localhost]}}\n",
	} {
		if err := Check([]byte(source)); err != nil {
			t.Errorf("%v in\n%s", err, source)
		}
	}
}

func TestAFileOfAnotherNameIsPointedOut(t *testing.T) {
	for _, name := range []string{"berth.yml", "Berth.yaml", "berth.yaml.txt"} {
		dir := folder(t, map[string]string{name: "name: tiny\n"})
		for _, look := range []func() error{
			func() error { _, err := Find(dir); return err },
			func() error { _, err := Load(dir, nil); return err },
		} {
			if err := look(); !fault.IsUsage(err) || !strings.Contains(fault.Hint(err), "mv "+name+" berth.yaml") {
				t.Errorf("%s: got %v, hint %q", name, err, fault.Hint(err))
			}
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
