package local

import (
	"context"
	"io/fs"
	"testing"
)

func TestKeptImagesByTheirNames(t *testing.T) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	names := []string{"berth.local/shop:1", "berth.local/shop@" + digest}
	for reference, want := range map[string]bool{
		"berth.local/shop:1":           true,
		"berth.local/shop@" + digest:   true,
		"berth.local/shop:2@" + digest: true, // the digest decides
		"berth.local/shop:2":           false,
		"berth.local/shop":             false,
		"berth.local/shop:11":          false,
		"berth.local/shopping:1":       false,
		"other:5000/shop:1":            false,
		"other:5000/shop@" + digest:    false,
		"":                             false,
	} {
		if got := keepsAny([]string{"unrelated:1", reference}, names); got != want {
			t.Errorf("an image that %q needs: kept is %v, want %v", reference, got, want)
		}
	}
}

// A command that publishes holds the images until it ends; another one then
// leaves them alone.
func TestNothingIsPrunedWhileAnotherCommandPublishes(t *testing.T) {
	l := layout{t.TempDir(), t.TempDir()}
	one, two := &Provider{layout: l}, &Provider{layout: l}
	if err := one.holdImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := func(p *Provider) bool {
		asked := false
		// The question fails, so nothing is removed.
		err := p.Prune(t.Context(), func(context.Context) ([]string, error) { asked = true; return nil, fs.ErrInvalid })
		if asked != (err != nil) {
			t.Errorf("asked is %v, the error %v", asked, err)
		}
		return asked
	}
	if asked(two) {
		t.Error("pruned beside a command that publishes")
	}
	if err := two.holdImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked(one) {
		t.Error("pruned beside a command that publishes")
	}
	if !asked(two) { // the last one, whose own hold is no hindrance
		t.Error("did not prune when the last command was done")
	}
}
