package backup

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
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
