package image_test

import (
	"strings"
	"testing"

	"berth/internal/image"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/publish"
	"berth/internal/registrytest"
)

// Another cluster's registry gets a copy of the image, for all platforms. There
// need not be a builder.
func TestPublishCopiesWhatAReleaseHas(t *testing.T) {
	address, built := registrytest.Start(t), registrytest.Image(t)
	of := registrytest.Publish(t, address+"/berth", publish.List{Images: []provider.Build{built}})
	t.Setenv("PATH", t.TempDir())
	built.Prebuilt = prebuilt.New(of)
	reference, err := image.Publish(t.Context(), built, address+"/shop/", progress.Discard)
	if err != nil || !strings.HasPrefix(reference, address+"/shop/pause@sha256:") {
		t.Errorf("got %q, %v", reference, err)
	}
	// Where it cannot be copied, it is built.
	of.Repository = "127.0.0.1:1/gone"
	built.Prebuilt = prebuilt.New(of)
	if _, err := image.Publish(t.Context(), built, address+"/shop", progress.Discard); err == nil || !strings.Contains(err.Error(), "docker") {
		t.Errorf("no builder was looked for: %v", err)
	}
}
