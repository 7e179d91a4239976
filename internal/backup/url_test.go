package backup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth/internal/fault"
)

// URLs as libpq, drivers and consoles have them lead to the same place.
func TestURLs(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // no files of somebody's own
	key := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(key, []byte("db:5432:*:app:from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"postgresql://app:s@db/x":         "PGHOST=db PGPORT=5432 PGUSER=app PGDATABASE=x PGPASSWORD=s",
		" postgres://app:s@db/x\n":        "PGHOST=db PGDATABASE=x",
		"POSTGRES://app@db/x":             "PGHOST=db PGDATABASE=x",
		"postgresql+asyncpg://app:s@db/x": "PGHOST=db PGDATABASE=x PGPASSWORD=s",
		"postgresql+psycopg2://app@db/x":  "PGHOST=db",
		"postgis://app@db/x":              "PGHOST=db",
		"jdbc:postgresql://db:7/x?user=app&password=s&currentSchema=y&reWriteBatchedInserts=true": "PGHOST=db PGPORT=7 PGUSER=app PGDATABASE=x PGPASSWORD=s",
		"postgres://app@db":                                                                "PGHOST=db PGDATABASE=app",
		"postgres://app@[::1]:5433/x":                                                      "PGHOST=::1 PGPORT=5433",
		"postgres://app:p%40%2F%3A%23%25@db/a%2Fb":                                         "PGPASSWORD=p@/:#% PGDATABASE=a/b",
		"postgres://%2Fvar%2Frun/x":                                                        "PGHOST=/var/run PGDATABASE=x",
		"postgres://app:s@%2fvar%2Frun:5433/x":                                             "PGHOST=/var/run PGPORT=5433 PGPASSWORD=s",
		"postgres:///x?host=/var/run&port=5433":                                            "PGHOST=/var/run PGPORT=5433 PGDATABASE=x",
		"postgres://app@a:1,b:2/x":                                                         "PGHOST=a PGPORT=1",
		"postgres://app@a,b:2/x?target_session_attrs=read-write":                           "PGHOST=a",
		"postgres://app@db/x?options=-c%20geqo%3Doff":                                      "PGOPTIONS=-c geqo=off ",
		"postgres://app@db/x?password=a+b":                                                 "PGPASSWORD=a+b",
		"postgres://app@db/x?passfile=" + key:                                              "PGPASSWORD=from file",
		"postgres://app@db/x?sslmode=verify-full&sslrootcert=system":                       "PGSSLMODE=verify-full PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt",
		"postgres://app@db/x?sslmode=require&channel_binding=require":                      "PGSSLMODE=require PGCHANNELBINDING=require",
		"postgres://app@db/x?require_auth=scram-sha-256&gssencmode=disable&requirepeer=me": "PGREQUIREAUTH=scram-sha-256 PGGSSENCMODE=disable PGREQUIREPEER=me",
		"postgres://app@db/x?ssl=true":                                                     "PGSSLMODE=require",
		"postgres://app@db/x?ssl=verify-full":                                              "PGSSLMODE=verify-full",
		"postgres://app@db/x?sslmode=no-verify":                                            "PGSSLMODE=require",
		"postgres://app@db/x?ssl=true&sslmode=allow":                                       "PGSSLMODE=allow",
		"postgres://app@db/x?schema=public&pgbouncer=true&connection_limit=1&pool_timeout=2&keepalives=1&statement_timeout=5&search_path=y": "PGHOST=db",
	} {
		d, err := ParseDatabase(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		environ := strings.Join(d.environ(nil), "\n") + "\n"
		for variable := range strings.SplitSeq(want, " PG") {
			if variable = "PG" + strings.TrimPrefix(variable, "PG"); !strings.Contains(environ, variable) || !strings.HasSuffix(variable, " ") && !strings.Contains(environ, variable+"\n") {
				t.Errorf("%s: there is no %s in:\n%s", text, variable, environ)
			}
		}
		for name := range d.config.RuntimeParams {
			if !slices.Contains([]string{"client_encoding", "options", "application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}, name) {
				t.Errorf("%s: the server is asked for %s", text, name)
			}
		}
	}
	for text, hint := range map[string]string{
		"postgres://app:ge#heim@db/x": "percent-encode", "postgres://app:geheim%@db/x": "percent-encode", "postgres://app:ge/heim@db/x": "percent-encode",
		"postgres://app@db/x?hostaddr=10.0.0.1": "as the host", "postgres://app@db/x?sslpassword=geheim": "without a password",
	} {
		if _, err := ParseDatabase(text); err == nil || !fault.IsUsage(err) || !strings.Contains(fault.Hint(err), hint) || strings.Contains(err.Error(), "heim") {
			t.Errorf("%s: %v, hint %q", text, err, fault.Hint(err))
		}
	}
}
