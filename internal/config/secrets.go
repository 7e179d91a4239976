package config

import "strings"

// OwnSecret is the entry of .env with a secret for one environment: in production,
// PRODUCTION_CONDUIT_SECRET overrides CONDUIT_SECRET.
func OwnSecret(environment, name string) string {
	return strings.ToUpper(strings.ReplaceAll(environment, "-", "_")) + "_" + name
}
