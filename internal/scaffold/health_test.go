package scaffold

import (
	"strings"
	"testing"
)

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
