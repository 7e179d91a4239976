package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// PlatformImages are berth's own images, which every cluster may run, as they
// are built from a tree of berth's source.
func PlatformImages(root string) []provider.Build {
	var builds []provider.Build
	for _, p := range ownPrograms {
		builds = append(builds, ownBuild(root, p.image))
	}
	return builds
}

// Export builds one of [PlatformImages] for a platform, "linux/arm64", into a
// folder that is not there yet, as an OCI layout for other machines. No file in
// it is younger than epoch, in seconds since 1970, so that the same sources and
// packages give the same bytes.
func (p *Provider) Export(ctx context.Context, b provider.Build, platform string, epoch int64, folder string, r progress.Reporter) error {
	if err := Emulates(b, platform); err != nil {
		return err
	}
	if err := p.prepare(ctx, r); err != nil {
		return err
	}
	store := p.images
	store.leaves = true
	b.Platform = platform
	b.Args = map[string]string{"SOURCE_DATE_EPOCH": strconv.FormatInt(epoch, 10)}
	_, err := store.solve(ctx, b, image.Result{Output: []string{
		"type=oci", "tar=false", "compression=gzip", "force-compression=true", "rewrite-timestamp=true", "dest=" + folder,
	}}, r)
	return err
}

// Emulates is an error when an image cannot be built here for a platform: its
// build runs programs of Debian's, and the kernel runs none of that kind.
func Emulates(b provider.Build, platform string) error {
	arch := architecture(platform)
	if own, ok := ownProgram(b); arch == runtime.GOARCH || !ok || !own.runs {
		return nil
	}
	emulator := filepath.Join("/proc/sys/fs/binfmt_misc", "qemu-"+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch])
	content, err := os.ReadFile(emulator)
	if err == nil && strings.HasPrefix(string(content), "enabled") {
		return nil
	}
	return fault.WithHint(fmt.Errorf("image %s for %s: its build runs programs of that kind, and this machine runs none", b.Name, platform),
		"apt-get install qemu-user-static binfmt-support (on GitHub docker/setup-qemu-action)")
}
