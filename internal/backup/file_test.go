package backup

import "testing"

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
