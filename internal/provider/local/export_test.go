package local

import (
	"testing"

	"berth/internal/source"
)

// An image whose build runs programs needs a machine that runs them.
func TestImagesOfAnotherArchitecture(t *testing.T) {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, b := range PlatformImages(root) {
		if Emulates(b, "linux/riscv64") != nil {
			left[b.Name] = true
		}
		if err := Emulates(b, "linux/"+architecture("")); err != nil {
			t.Errorf("%s for this machine: %v", b.Name, err)
		}
	}
	if len(left) != 4 || left["pause"] || left["collector"] {
		t.Errorf("these need an emulator: %v", left)
	}
}
