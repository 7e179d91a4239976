package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWritable(t *testing.T) {
	for text, want := range map[string]struct {
		writable Writable
		all      bool
	}{
		"":                   {nil, true},
		"writable: true":     {Writable{"/"}, true},
		"writable: [/]":      {Writable{"/"}, true},
		"writable: false":    {Writable{}, false},
		"writable: []":       {Writable{}, false},
		"writable: [/a, /b]": {Writable{"/a", "/b"}, false},
	} {
		c, err := Load(folder(t, map[string]string{File: minimal + text + "\n"}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.writable, c.Writable); diff != "" || c.Writable.All() != want.all {
			t.Errorf("%q: all of it: %v; %s", text, c.Writable.All(), diff)
		}
	}
}
