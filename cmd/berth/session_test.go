package main

import (
	"encoding/json"
	"errors"
	"testing"

	"berth/internal/fault"
	"berth/internal/release"
	"berth/internal/session"
)

func TestSessions(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "staging"}, `run in staging  24h0m0s []`},
		{[]string{"run", "staging", "--process", "worker", "--limit", "2h", "--", "ls", "-la", "--json"}, `run in staging worker 2h0m0s ["ls" "-la" "--json"]`},
		{[]string{"exec", "production", "--", "ps"}, `exec in production  ["ps"]`},
		{[]string{"exec", "production", "--pod", "tiny-1"}, `exec in production tiny-1 []`},
		{[]string{"psql", "production"}, `psql in production false []`},
		{[]string{"psql", "production", "--write", "-c", "SELECT 1", "-c", "SELECT 2", "--", "-At"}, `psql in production true ["--command=SELECT 1" "--command=SELECT 2" "-At"]`},
		{[]string{"forward", "production", "8000"}, `forward production 8000:8000 false`},
		{[]string{"forward", "production", "5433:5432", "--database"}, `forward production 5433:5432 true`},
		{[]string{"forward", "production", "0:6379", "--service", "cache"}, `forward production 0:6379 cachefalse`},
		{[]string{"restart", "production"}, "restart production "},
		{[]string{"restart", "production", "--process", "worker"}, "restart production worker"},
	} {
		w := newWorld()
		if got := w.berth(t, test.args...); got.status != succeeded {
			t.Errorf("%v: %+v", test.args, got)
		}
		w.wantCalls(t, test.want)
	}
}

// What a session writes is all the program's: nothing of berth's own is in it.
func TestASessionIsQuietWithoutATerminal(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "run", "staging", "--", "true")
	if got != (result{}) {
		t.Errorf("%+v", got)
	}
}

func TestASessionPassesItsStatusOn(t *testing.T) {
	for _, test := range []struct {
		exit session.Exit
		said string
	}{
		{session.Exit{Status: 3}, ""},
		{session.Exit{Status: 143}, ""},
		{session.Exit{Status: 127, Why: fault.WithHint(errors.New("the image has no shell"), "name a program")},
			"error: the image has no shell\nhint: name a program\n"},
	} {
		w := newWorld()
		w.fail[`exec in staging  []`] = &test.exit
		got := w.berth(t, "exec", "staging")
		if got.status != test.exit.Status || got.errors != test.said {
			t.Errorf("%+v: %+v", test.exit, got)
		}
	}
}

func TestConfig(t *testing.T) {
	w := newWorld()
	w.given = release.Given{Environment: "staging", Process: "web", Revision: 3, Image: "tiny:1", Differs: true, Variables: []release.Variable{
		{Name: "LOG_LEVEL", Value: "info", From: "berth.yaml", Now: release.Changed},
		{Name: "TOKEN", Secret: true, Checksum: "1a2b3c4d", From: ".env"},
	}}
	want := `web of staging, revision 3, image tiny:1
NAME       VALUE            FROM        NEXT DEPLOY
LOG_LEVEL  info             berth.yaml  changed
TOKEN      secret 1a2b3c4d  .env
berth.yaml or .env have changed since the last deploy: berth deploy staging
`
	if got := w.berth(t, "config", "staging"); got.out != want || got.status != succeeded {
		t.Errorf("got\n%s", got.out)
	}
	var given release.Given
	if err := json.Unmarshal([]byte(w.berth(t, "config", "staging", "--json").out), &given); err != nil || len(given.Variables) != 2 {
		t.Errorf("%+v, %v", given, err)
	}
}
