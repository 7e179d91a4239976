package backup

import (
	"strings"
	"testing"
)

// What ParseDatabase refuses, it refuses without telling the password.
func TestParseDatabase(t *testing.T) {
	d, err := ParseDatabase("postgres://app:geheim@db.example:5433/my%20app?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	environ := strings.Join(d.environ(nil), "\n")
	for _, want := range []string{"PGHOST=db.example", "PGPORT=5433", "PGUSER=app", "PGDATABASE=my app", "PGPASSWORD=geheim", "PGSSLMODE=disable"} {
		if !strings.Contains(environ, want) {
			t.Errorf("there is no %s in:\n%s", want, environ)
		}
	}
	for _, bad := range []string{"host=db password=geheim", "mysql://app:geheim@db/app", "postgres://app:geheim@db:port/app", "postgres://app:geheim@db/app?sslmode=maybe", "postgres://app:geheim@%zz/app"} {
		if _, err := ParseDatabase(bad); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
