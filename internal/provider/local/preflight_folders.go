package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/provider"
)

// checkFolders looks whether programs and containers can run from berth's folders.
func (p *Provider) checkFolders(h host) provider.Check {
	c := provider.Check{Name: "folders"}
	const remedy = "name other folders in XDG_STATE_HOME and XDG_CACHE_HOME"
	for _, folder := range []string{p.layout.state, p.layout.cache} {
		c.Remedy = remedy
		on := folder
		there := existingParent(folder)
		if real, err := filepath.EvalSymlinks(there); err == nil {
			on = filepath.Join(real, strings.TrimPrefix(folder, there))
		}
		m := h.mountOf(on)
		switch {
		case strings.ContainsAny(folder, ":,"):
			c.Problem = fmt.Sprintf("%s has a colon or a comma in it, which mounts of containers cannot have", folder)
		case slices.Contains(m.options, "ro"):
			c.Problem = fmt.Sprintf("%s is mounted read-only, and berth writes to %s", m.at, folder)
		case slices.Contains(m.options, "noexec"):
			c.Problem = fmt.Sprintf("%s is mounted noexec, and programs run from %s", m.at, folder)
			c.Remedy = fmt.Sprintf("mount -o remount,exec %s; or %s", m.at, remedy)
		case folder == p.layout.state && slices.Contains(withoutLayers, m.kind):
			c.Problem = fmt.Sprintf("the file system of %s is %s, which cannot hold the layers of containers", folder, m.kind)
			c.Remedy = remedy + ", on ext4, xfs or btrfs"
		default:
			c.Remedy = ""
			continue
		}
		return c
	}
	// containerd's own sockets are beside this one, with a longer name.
	if socket := p.node(99).socket() + ".ttrpc"; len(socket) > longestSocket {
		c.Problem = fmt.Sprintf("%s is too long a path: sockets in it would have %d characters, and may have %d", p.layout.state, len(socket), longestSocket)
		c.Remedy = "name a shorter folder in XDG_STATE_HOME"
	}
	return c
}

// withoutLayers are the kinds of file systems that the kernel lays no others over, or
// that do not keep owners, links and devices as images have them.
var withoutLayers = []string{"overlay", "aufs", "nfs", "nfs4", "cifs", "smb3", "vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "9p", "virtiofs", "ecryptfs", "drvfs", "vboxsf", "fuse.sshfs", "fuse.gocryptfs"}

// longestSocket is what the address of a Unix socket may have.
const longestSocket = 107

const (
	neededDisk   = 8 << 30 // bytes; measured: 5 GiB with Go's caches
	neededInodes = 200_000
)

func (p *Provider) checkDisk() provider.Check {
	c := provider.Check{Name: "disk space"}
	if exists(p.layout.cluster()) {
		return c // a cluster that was made has what it takes
	}
	for _, folder := range []string{p.layout.state, p.layout.cache} {
		var stat unix.Statfs_t
		if err := unix.Statfs(existingParent(folder), &stat); err != nil {
			c.Problem = err.Error()
			return c
		}
		if free := stat.Bavail * uint64(stat.Bsize); free < neededDisk {
			c.Problem = fmt.Sprintf("%d GiB free at %s, %d needed", free>>30, folder, neededDisk>>30)
			c.Remedy = "free some, or name folders on a larger disk in XDG_STATE_HOME and XDG_CACHE_HOME"
		} else if stat.Files > 0 && stat.Ffree < neededInodes {
			c.Problem = fmt.Sprintf("%d free inodes at %s, %d needed", stat.Ffree, folder, neededInodes)
			c.Remedy = "remove files, or name folders on another disk in XDG_STATE_HOME and XDG_CACHE_HOME"
		}
	}
	return c
}

// checkAttributes looks whether the bucket's folder can keep what the S3
// gateway knows of objects.
func (p *Provider) checkAttributes() provider.Check {
	c := provider.Check{Name: "extended attributes"}
	folder := existingParent(p.layout.state)
	file, err := os.CreateTemp(folder, ".berth-check-")
	if err != nil {
		if !errors.Is(err, os.ErrPermission) { // which is told of as root
			c.Problem = err.Error()
		}
		return c
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := unix.Fsetxattr(int(file.Fd()), "user.berth", []byte("1"), 0); err != nil {
		c.Problem = fmt.Sprintf("the file system of %s has none: %v", folder, err)
		c.Remedy = "name a folder on ext4, xfs or btrfs in XDG_STATE_HOME"
	}
	return c
}
