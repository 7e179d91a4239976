package backup

import (
	"errors"
	"testing"
)

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
