package config

import "strings"

// OwnSecret is the entry of .env that holds a secret for one environment alone:
// PRODUCTION_CONDUIT_SECRET goes before CONDUIT_SECRET in production.
func OwnSecret(environment, name string) string {
	return strings.ToUpper(strings.ReplaceAll(environment, "-", "_")) + "_" + name
}
