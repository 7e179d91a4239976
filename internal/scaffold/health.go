package scaffold

import (
	"cmp"
	"regexp"
	"strings"
)

// request is a URL of the container itself, as curl and wget ask for it in a
// health check.
var request = regexp.MustCompile(`(https?)://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]|\$\{?(?:HOST|HOSTNAME)\}?)(?::(\d{1,5}|\$\{?([A-Za-z_][A-Za-z0-9_]*)[^}/]*\}?))?(/[^\s'"` + "`" + `|;&)\]>\\]*)?`)

// bare is the same without a scheme: curl localhost:8000/up.
var bare = regexp.MustCompile(`(?:curl|wget|http)\b[^|;&]*?[\s'"](?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d{1,5}))?(/[^\s'"|;&)]*)?`)

// healthOf returns the path and the port that the command of a health check
// asks for; the port is 0 where it names none. The problem says what could not
// be carried over.
func healthOf(test string, variables map[string]string) (at string, port int, problem string) {
	if found := request.FindStringSubmatch(test); found != nil {
		at, port = found[4], number(found[2])
		if name := found[3]; name != "" {
			port = number(variables[name])
		}
		if found[1] == "https" {
			problem = "asks by HTTPS; berth asks by HTTP, unless upstreamTLS is set"
		}
	} else if found := bare.FindStringSubmatch(test); found != nil {
		at, port = found[2], number(found[1])
	} else {
		return "", 0, "runs a program; berth asks by HTTP for the path under health, which must answer 200 to 399"
	}
	if path, query, ok := strings.Cut(at, "?"); ok {
		at, problem = path, "asks for "+path+"?"+query+"; health is a path without a query"
	}
	at, _, _ = strings.Cut(at, "#")
	if strings.Contains(at, "$") {
		return "", port, "asks for a path with a variable in it; write the path under health"
	}
	return cmp.Or(at, "/"), port, problem
}
