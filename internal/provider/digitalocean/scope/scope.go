// Package scope has the scopes that a DigitalOcean token needs for each request, and
// those that berth needs for each feature. There is only this table: errors name
// missing scopes by it, the tests' account refuses requests by it, and
// docs/digitalocean.md is checked against it.
package scope

import (
	"cmp"
	_ "embed"
	"net/http"
	"slices"
	"strings"
)

// What berth makes requests for.
const (
	Cluster  = "cluster"
	Domain   = "domain"
	Registry = "registry"
	Database = "database"
	// Deploy is to use a cluster that is there.
	Deploy = "deploy"
)

// Without these an answer is not whole: it has no tags, or not the password of a
// database.
const (
	SeeTags        = "tag:read"
	SeeCredentials = "database:view_credentials"
)

// Request is one kind of request to the API.
type Request struct {
	// Path has placeholders, as in /v2/vpcs/{vpc_id}.
	Method, Path string
	// Scopes are all that a token needs for it.
	Scopes []string
	// For is what berth, or Terraform's plugin, makes it for.
	For []string
}

//go:embed scopes.tsv
var text string

var table = read(text)

func read(text string) (table []Request) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		table = append(table, Request{
			Path: fields[0], Method: fields[1], Scopes: strings.Fields(fields[2]),
			For: strings.FieldsFunc(fields[3], func(r rune) bool { return r == ',' }),
		})
	}
	return table
}

// Of returns the scopes that a request needs, none where that is not known.
func Of(method, path string) []string {
	var scopes []string
	most := 0
	for _, request := range table {
		// The path that says more itself goes first: /v2/projects/default.
		if said := matches(request.Path, path); request.Method == method && said > most {
			scopes, most = request.Scopes, said
		}
	}
	return scopes
}

// matches returns how many parts of a path are those of a pattern's own; 0 where
// it does not match.
func matches(pattern, path string) int {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return 0
	}
	said := 0
	for i, part := range want {
		switch {
		case part == got[i]:
			said++
		case !strings.HasPrefix(part, "{"):
			return 0
		}
	}
	return said
}

// For returns the scopes that a token needs for all of these purposes.
func For(purposes ...string) []string {
	var scopes []string
	for _, request := range table {
		if request.isFor(purposes) {
			scopes = append(scopes, request.Scopes...)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

func (r Request) isFor(purposes []string) bool {
	return slices.ContainsFunc(r.For, func(purpose string) bool { return slices.Contains(purposes, purpose) })
}

// Trial is a request that shows whether a token has scopes, without any effect: it
// reads, or names something that does not exist, or has a body that is not JSON.
type Trial struct {
	Request
	// Sure says that a refusal can only mean that a scope is missing. The
	// API may also refuse what is not there.
	Sure bool
}

// Nobody is the identifier of nothing, which a [Trial] is about.
const Nobody = "00000000-0000-4000-8000-000000000000"

// Body is what a [Trial] sends with all methods but GET and DELETE. It is no JSON.
const Body = "{"

// Trials returns what can be tried for these purposes, the least number of
// requests for the scopes that they cover.
func Trials(purposes ...string) []Trial {
	var candidates []Trial
	for _, request := range table {
		general := !strings.Contains(request.Path, "{")
		safe := !general || request.Method == http.MethodGet || request.Method == http.MethodPost
		if safe && request.Method != "ALSO" && request.isFor(purposes) {
			request.Path = fill(request.Path)
			candidates = append(candidates, Trial{request, general})
		}
	}
	// A refusal says most where one scope alone is needed, and then where it is
	// sure.
	slices.SortStableFunc(candidates, func(a, b Trial) int {
		if order := cmp.Compare(len(a.Scopes), len(b.Scopes)); order != 0 || a.Sure == b.Sure {
			return order
		}
		if a.Sure {
			return -1
		}
		return 1
	})
	var trials []Trial
	covered := map[string]bool{}
	for _, trial := range candidates {
		if !slices.ContainsFunc(trial.Scopes, func(scope string) bool { return !covered[scope] }) {
			continue
		}
		for _, scope := range trial.Scopes {
			covered[scope] = true
		}
		trials = append(trials, trial)
	}
	return trials
}

// fill puts the identifier of nothing into a path's placeholders.
func fill(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = Nobody
		}
	}
	return strings.Join(parts, "/")
}
