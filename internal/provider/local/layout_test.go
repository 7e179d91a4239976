package local

import (
	"path/filepath"
	"testing"
)

func TestFoldersThatAreNotAbsoluteAreNone(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "state")
	t.Setenv("XDG_CACHE_HOME", "./cache")
	l, err := defaultLayout()
	if err != nil || !filepath.IsAbs(l.state) || !filepath.IsAbs(l.cache) {
		t.Errorf("got %+v, %v", l, err)
	}
}
