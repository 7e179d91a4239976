package config

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariablesOfServices(t *testing.T) {
	c := &Config{Services: map[string]string{"cache": "valkey", "job-queue": "valkey"}}
	for service, want := range map[string][]string{
		"cache": {"CACHE_URL", "REDIS_URL"}, "job-queue": {"JOB_QUEUE_URL"},
	} {
		if diff := cmp.Diff(want, c.ServiceVariables(service)); diff != "" {
			t.Errorf("%s: %s", service, diff)
		}
	}
	c.Services = map[string]string{"redis": "valkey"}
	if diff := cmp.Diff([]string{"REDIS_URL"}, c.ServiceVariables("redis")); diff != "" {
		t.Error(diff)
	}
}

func TestGiven(t *testing.T) {
	c := &Config{Services: map[string]string{"cache": "valkey"}, Environments: map[string]Environment{"production": {Database: Postgres}, "staging": {Database: SQLite}}}
	service := map[string]string{}
	for _, name := range []string{"CACHE_URL", "CACHE_HOST", "CACHE_PORT", "CACHE_PASSWORD", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"} {
		service[name] = "service cache"
	}
	staging := maps.Clone(service)
	staging["DATABASE_URL"] = "database"
	production := maps.Clone(staging)
	for _, name := range []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "POSTGRES_PASSWORD"} {
		production[name] = "database"
	}
	for environment, want := range map[string]map[string]string{"staging": staging, "production": production, "other": service} {
		if diff := cmp.Diff(want, c.Given(environment)); diff != "" {
			t.Errorf("%s: %s", environment, diff)
		}
	}
}
