package scaffold

import (
	"strings"
	"testing"
)

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
