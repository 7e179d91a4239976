package config

import (
	"net/url"

	"berth/internal/fault"
)

// The names in .env of where people are told of what breaks. Both are secret.
const (
	// AlertsURL are the services that messages go to, as package alert reads
	// them. Without any, nothing watches.
	AlertsURL = "ALERTS_URL"
	// AlertsPingURL is asked for every few minutes by a watch that lives.
	AlertsPingURL = "ALERTS_PING_URL"
)

// checkAlerts looks at what can be told without knowing the services.
func (c *Config) checkAlerts() error {
	ping := c.DotEnv[AlertsPingURL]
	if ping == "" {
		return nil
	}
	if c.DotEnv[AlertsURL] == "" {
		return fault.WithHint(fault.Usage("%s is set, and %s is not: so there is no watch to ping", AlertsPingURL, AlertsURL),
			"set %s in .env; docs/alerts.md has its forms", AlertsURL)
	}
	u, err := url.Parse(ping)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		// The error would quote it.
		return fault.WithHint(fault.Usage("%s is not a URL that can be requested", AlertsPingURL), "it is like https://hc-ping.com/…")
	}
	return nil
}
