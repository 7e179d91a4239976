package scaffold

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

func TestNames(t *testing.T) {
	for url, want := range map[string]string{
		"https://github.com/me/shop.git":     "shop",
		"https://github.com/me/shop/":        "shop",
		"git@github.com:me/Shop_Front.git":   "Shop_Front",
		"git@example.com:shop":               "shop",
		"ssh://git@example.com:2222/me/shop": "shop",
		"/srv/git/shop.git":                  "shop",
		"":                                   "",
	} {
		config := "[core]\n\tbare = false\n[remote \"other\"]\n\turl = https://x/y\n[remote \"origin\"]\n\turl = " + url + "\n"
		if got := origin([]byte(config)); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	for text, want := range map[string]string{
		"Shop_Front": "shop-front", "2048": "", "3d-shop": "d-shop", "--a--": "a", "Ünïcode": "n-code", "": "",
		strings.Repeat("a", 39) + "-b": strings.Repeat("a", 39),
	} {
		if got := label(text, 40); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestHealthChecks(t *testing.T) {
	for _, test := range []struct {
		test, path string
		port       int
		problem    string
	}{
		{"curl -f http://localhost:8000/healthz || exit 1", "/healthz", 8000, ""},
		{"curl -f http://localhost/", "/", 0, ""},
		{"curl --fail http://127.0.0.1:8080", "/", 8080, ""},
		{"wget -qO- http://0.0.0.0:$PORT/up", "/up", 5000, ""},
		{"wget -q --spider http://[::1]:${PORT:-1}/up>/dev/null", "/up", 5000, ""},
		{"curl localhost:9000/ready", "/ready", 9000, ""},
		{"curl -fsS 127.0.0.1/ready", "/ready", 0, ""},
		{`python -c "import urllib.request as r; r.urlopen('http://localhost:8000/live')"`, "/live", 8000, ""},
		{`node -e "fetch('http://localhost:3000/api/health').then(r => process.exit(r.ok ? 0 : 1))"`, "/api/health", 3000, ""},
		{"curl -k https://localhost:8443/up", "/up", 8443, "asks by HTTPS"},
		{"curl http://localhost/up?deep=1", "/up", 0, "asks for /up?deep=1"},
		{"curl http://localhost/$WHERE", "", 0, "a variable in it"},
		{"curl http://example.com/up", "", 0, "runs a program"},
		{"pg_isready -U shop", "", 0, "runs a program"},
		{"/app healthcheck", "", 0, "runs a program"},
	} {
		path, port, problem := healthOf(test.test, map[string]string{"PORT": "5000"})
		if path != test.path || port != test.port || !strings.Contains(problem, test.problem) || (problem == "") != (test.problem == "") {
			t.Errorf("%s: got %q, %d, %q", test.test, path, port, problem)
		}
	}
}

func TestPortsOfCommands(t *testing.T) {
	for command, want := range map[string]int{
		"gunicorn app:app --bind 0.0.0.0:8000":       8000,
		"gunicorn -b :5000 app:app":                  5000,
		"gunicorn --bind=127.0.0.1:5000 app":         5000,
		"uvicorn main:app --host 0.0.0.0 --port 80":  80,
		"rails server -b 0.0.0.0 -p 3000":            3000,
		"bash -c 'rails s -p 3000'":                  3000,
		"python manage.py runserver 0.0.0.0:8000":    8000,
		"python manage.py runserver 8001":            8001,
		"php -S 0.0.0.0:8080 -t public":              8080,
		"daphne -b 0.0.0.0 -p 8001 site.asgi":        8001,
		"java -jar app.jar --server.port=8081":       8081,
		"./server -addr :9000":                       9000,
		"gunicorn app:app --bind 0.0.0.0:$PORT":      0,
		"node server.js":                             0,
		"celery -A app worker -b redis://redis:6379": 0,
		"./wait-for db:5432 -- ./server":             0,
		"gunicorn -b 127.0.0.1 app":                  0,
	} {
		if got := portOf(Command{Text: command}); got != want {
			t.Errorf("%s: got %d, want %d", command, got, want)
		}
		if got := portOf(Command{List: strings.Fields(command)}); got != want {
			t.Errorf("%s as a list: got %d, want %d", command, got, want)
		}
	}
}

func TestWhatLooksSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"SECRET_KEY": true, "SECRET_KEY_BASE": true, "API_TOKEN": true, "GITHUB_TOKEN": true, "DB_PASSWORD": true, "PGPASSWORD": true,
		"STRIPE_API_KEY": true, "AWS_SECRET_ACCESS_KEY": true, "SENTRY_DSN": true, "RAILS_MASTER_KEY": true, "SMTP_PASS": true, "apiToken": true,
		"LOG_LEVEL": false, "KEYBOARD": false, "MONKEY": false, "AUTHOR": false, "PASSENGER_LIMIT": false, "TOKENIZER": false,
		"NEXT_PUBLIC_API_KEY": false, "STRIPE_PUBLISHABLE_KEY": false, "AWS_ACCESS_KEY_ID": false, "TOKEN_TTL": false, "KEY_FILE": false,
	} {
		if got := looksSecret(name, "x"); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	for value, want := range map[string]bool{
		"amqp://user:pass@host": true, "https://example.com/a": false, strings.Repeat("0f", 32): true, "-----BEGIN KEY-----": true, "info": false,
	} {
		if got := looksSecret("BROKER", value); got != want {
			t.Errorf("%s: got %v", value, got)
		}
	}
}

func TestDockerfiles(t *testing.T) {
	for _, test := range []struct {
		name, source, target string
		want                 dockerfile
	}{
		{"the last stage", "FROM a AS one\nEXPOSE 1\nFROM b\nEXPOSE 2\n", "",
			dockerfile{base: "b", ports: []string{"2"}}},
		{"a target, in any case", "FROM a AS One\nEXPOSE 1\nFROM b\nEXPOSE 2\n", "oNE",
			dockerfile{base: "a", ports: []string{"1"}}},
		{"a stage inherits", "FROM a AS one\nENV P=1\nVOLUME /x\nCMD x\nFROM one\nEXPOSE ${P}2\n", "",
			dockerfile{base: "a", ports: []string{"12"}, volumes: []string{"/x"}, cmd: Command{Text: "x"}, env: map[string]string{"P": "1"}}},
		{"lower case, and lines that go on", "from a\nexpose \\\n# between\n 80 \\\n 81/tcp\n", "",
			dockerfile{base: "a", ports: []string{"80", "81/tcp"}}},
		{"arguments before FROM", "ARG V=3 T\nFROM a:$V\nARG V\nEXPOSE 8$V\n", "",
			dockerfile{base: "a:3", ports: []string{"83"}, args: []string{"T"}}},
		{"a here-document is not read", "FROM a\nRUN <<EOF\nEXPOSE 1\nEOF\nEXPOSE 2\n", "",
			dockerfile{base: "a", ports: []string{"2"}}},
		{"an entrypoint forgets the command", "FROM a AS b\nCMD [\"x\"]\nFROM b\nENTRYPOINT [\"y\"]\n", "",
			dockerfile{base: "a", entrypoint: Command{List: []string{"y"}}}},
		{"JSON", "FROM a\nVOLUME [\"/x y\", \"/z\"]\nCMD [\"x\", \"y z\"]\n", "",
			dockerfile{base: "a", volumes: []string{"/x y", "/z"}, cmd: Command{List: []string{"x", "y z"}}}},
		{"no health check", "FROM a AS b\nHEALTHCHECK CMD curl http://localhost/up\nFROM b\nHEALTHCHECK NONE\n", "", dockerfile{base: "a"}},
		{"a health check", "FROM a\nENV PORT 81\nHEALTHCHECK --start-interval=1s CMD curl http://localhost:$PORT/up\n", "",
			dockerfile{base: "a", health: "/up", healthPort: 81, env: map[string]string{"PORT": "81"}}},
		{"secrets", "FROM a\nRUN --mount=type=secret,id=T --mount=type=secret,target=/run/secrets/U --mount=type=cache,id=c,target=/c x\n", "",
			dockerfile{base: "a", secrets: []string{"T", "U"}}},
		{"what is unknown is passed over", "FROM a\nFUTURE thing\nEXPOSE 1\nONBUILD EXPOSE 2\n", "", dockerfile{base: "a", ports: []string{"1"}}},
	} {
		got, _, err := parseDockerfile([]byte(test.source), test.target, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if len(got.env) == 0 {
			got.env = nil
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(dockerfile{})); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	for _, source := range []string{"", "# nothing", "RUN x", "FROM a\nRUN <<EOF\nx", "FROM a\nEXPOSE \x00\n", "FROM a\xff\n"} {
		if got, _, err := parseDockerfile([]byte(source), "", nil); err == nil {
			t.Errorf("%q: got %+v", source, got)
		}
	}
}

func TestWhatStaysOutOfGit(t *testing.T) {
	for _, test := range []struct {
		name, before, after string
		repository          bool
	}{
		{"a repository without the file", "", "/.env\n", true},
		{"no repository", "", "", false},
		{"one that ignores it", "*.pyc\n.env\r\nx\n", "*.pyc\n.env\r\nx\n", true},
		{"with all that begin so", ".env*\n", ".env*\n", true},
		{"another name", ".environment\n.env.local", ".environment\n.env.local\n/.env\n", true},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM a\nEXPOSE 80\n")
		write(t, filepath.Join(dir, ".env"), "TOKEN=x\n")
		if test.repository {
			write(t, filepath.Join(dir, ".git", "config"), "")
		}
		if test.before != "" {
			write(t, filepath.Join(dir, ".gitignore"), test.before)
		}
		d, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(false); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(filepath.Join(dir, ".gitignore"))
		if string(got) != test.after {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
}

func TestComposeThatCannotBeReadIsSaid(t *testing.T) {
	for source, want := range map[string]string{
		"services: [a]\n":                          "compose.yaml: is not read: ",
		"services: {a: {build: ., ports: [x]}}\n":  "compose.yaml: is not read: ",
		"services: {a: {build: ., nonsense: 1}}\n": "compose.yaml: is not read: ",
		"a: b: c\n": "compose.yaml: is not read: ",
		"include: [https://example.com/compose.yaml]\n": "compose.yaml: is not read: ",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM a\nEXPOSE 80\n")
		write(t, filepath.Join(dir, "compose.yaml"), source)
		d, err := Read(dir)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if len(d.Notes) != 1 || !strings.HasPrefix(d.Notes[0].String(), want) || strings.Contains(d.Notes[0].String(), dir) || d.Port != 80 {
			t.Errorf("%s: got %q, port %d", source, d.Notes, d.Port)
		}
	}
}

func TestAFolderThatSaysNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "A=b\n")
	if d, err := Read(dir); !fault.IsUsage(err) || fault.Hint(err) == "" {
		t.Errorf("got %+v, %v", d, err)
	}
}
