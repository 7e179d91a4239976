package scaffold

import (
	"testing"

	"berth/internal/config"
)

// References lead to variables that berth sets: package config knows the same names.
func TestGivenVariablesAreThoseOfTheConfiguration(t *testing.T) {
	c := config.Config{
		Environments: map[string]config.Environment{"production": {Database: config.Postgres}},
		Services:     map[string]string{"cache": "valkey"},
	}
	known := c.Given("production")
	for kind, parts := range given {
		for part, variable := range parts {
			if known[variable] == "" {
				t.Errorf("%s, the %s of %s, is set by nobody", variable, part, kind)
			}
		}
	}
}
