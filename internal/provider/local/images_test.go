package local

import (
	"net/netip"
	"os"
	"testing"

	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/publish"
	"berth/internal/registrytest"
)

// An image of a release needs no builder, and is fetched once.
func TestImagesOfAReleaseAreNotBuilt(t *testing.T) {
	built := registrytest.Image(t)
	of := registrytest.Publish(t, registrytest.Start(t)+"/berth", publish.List{Images: []provider.Build{built}})
	s := imageStore{registry: registry{layout{cache: t.TempDir()}, network{netip.MustParsePrefix("10.118.0.0/16")}}, reach: &reach{}}
	built.Prebuilt = prebuilt.New(of)
	for range 2 {
		if err := s.build(t.Context(), built, progress.Discard); err != nil {
			t.Fatal(err)
		}
		// What would start the builder has nothing to start.
		worked := false
		if err := s.use(t.Context(), []provider.Build{built}, progress.Discard, func() error { worked = true; return nil }); err != nil || !worked {
			t.Fatalf("work was done: %v, %v", worked, err)
		}
		of.Repository = "127.0.0.1:1/gone"
		built.Prebuilt = prebuilt.New(of) // another command, away from the registry
	}
	// Another Dockerfile is another image, which this release does not have.
	if err := os.WriteFile(built.Dockerfile, []byte("FROM scratch\nCOPY hello /other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if layout, err := s.prebuilt(t.Context(), built, progress.Discard); layout != "" || err != nil {
		t.Errorf("got %q, %v", layout, err)
	}
	built.Prebuilt = nil
	if layout, err := s.prebuilt(t.Context(), built, progress.Discard); layout != "" || err != nil {
		t.Errorf("without a release: %q, %v", layout, err)
	}
}
