package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"berth/internal/fault"
)

// IDs sort by age, and are recognized again.
func TestIDs(t *testing.T) {
	early := NewID(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	late := NewID(time.Date(2026, 11, 4, 5, 6, 7, 0, time.FixedZone("", 3600)))
	if !strings.HasPrefix(early, "20260304_050607_") || !strings.HasPrefix(late, "20261104_040607_") || early >= late {
		t.Errorf("IDs are %s and %s", early, late)
	}
	for id, good := range map[string]bool{early: true, late: true, "": false, "../" + early: false, early + "/x": false, "20260304_050607": false} {
		if validID.MatchString(id) != good {
			t.Errorf("%q is an ID: %v", id, !good)
		}
	}
}

// A manifest that names what is not its own must not have that read or removed.
func TestManifestNamesItsOwnObjects(t *testing.T) {
	const id = "20260304_050607_0a1b"
	good := Manifest{ID: id, Dump: Object{Name: id + ".sql.zst"}, Globals: Object{Name: id + ".globals.sql.zst"}}
	if err := good.validate(id); err != nil {
		t.Error(err)
	}
	file := Manifest{ID: id, Format: SQLite, Dump: Object{Name: id + ".sqlite.zst"}}
	if err := file.validate(id); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Manifest){
		func(m *Manifest) { m.ID = "20260304_050607_0a1c" },
		func(m *Manifest) { m.Dump.Name = "20260304_050607_0a1c.sql.zst" },
		func(m *Manifest) { m.Globals.Name = "" },
		func(m *Manifest) { m.Dump.Name = id + "./../other" },
	} {
		bad := good
		change(&bad)
		if err := bad.validate(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestSideNamesFit(t *testing.T) {
	for _, name := range []string{"app", strings.Repeat("a", 63), strings.Repeat("é", 31), strings.Repeat("✓", 21)} {
		got := sideName(name, "_restore_20260304_050607_0a1b")
		if len(got) > 63 || !utf8.ValidString(got) || !strings.HasSuffix(got, "_restore_20260304_050607_0a1b") || !strings.HasPrefix(got, name[:3]) {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}

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

// SQLite's URLs are those of the application.
func TestParseFile(t *testing.T) {
	for text, want := range map[string]string{
		"sqlite:////data/app.db": "/data/app.db", "sqlite:///app.db": "app.db", "postgres://app@db/app": "", "": "",
	} {
		path, ok, err := ParseFile(text)
		if err != nil || path != want || ok != (want != "") {
			t.Errorf("%q is %q, %v, %v", text, path, ok, err)
		}
	}
	for _, bad := range []string{"sqlite://", "sqlite:///", "sqlite://app.db", "sqlite:///:memory:", "sqlite:////data/app.db?mode=ro"} {
		if _, _, err := ParseFile(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
