package local

import (
	"strings"
	"testing"
)

func TestCheckFolders(t *testing.T) {
	const root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	state, cache := layout{state: "/var/lib/berth/local"}.state, "/var/cache/berth"
	for name, test := range map[string]struct {
		mounts, state   string
		problem, remedy string
	}{
		"plain":                    {root, state, "", ""},
		"/tmp is noexec":           {root + "30 22 0:40 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n", state, "", ""},
		"/var is noexec":           {root + "30 22 8:2 / /var rw,nosuid,noexec shared:2 - ext4 /dev/sda2 rw\n", state, "/var is mounted noexec, and programs run from /var/lib/berth/local", "remount,exec /var"},
		"/var/cache is noexec":     {root + "30 22 8:2 / /var/cache rw,noexec - ext4 /dev/sda2 rw\n", state, "programs run from /var/cache/berth", "XDG_CACHE_HOME"},
		"another folder's name":    {root + "30 22 8:2 / /var/lib/ber rw,noexec - ext4 /dev/sda2 rw\n", state, "", ""},
		"mounted over":             {root + "30 22 8:2 / /var rw,noexec - ext4 /dev/sda2 rw\n31 22 8:3 / /var rw - ext4 /dev/sda3 rw\n", state, "", ""},
		"a read-only /var":         {root + "30 22 8:2 / /var ro,relatime - ext4 /dev/sda2 ro\n", state, "/var is mounted read-only", "XDG_STATE_HOME"},
		"a read-only root":         {"22 1 8:1 / / ro - squashfs /dev/sda1 ro\n", state, "/ is mounted read-only", "XDG_STATE_HOME"},
		"a read-only /usr":         {root + "30 22 8:2 / /usr ro - ext4 /dev/sda2 ro\n", state, "", ""},
		"a container's root":       {"22 1 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a\n", state, "is overlay, which cannot hold the layers of containers", "ext4"},
		"NFS":                      {root + "30 22 0:51 / /var/lib rw - nfs4 server:/var rw\n", state, "is nfs4", "XDG_STATE_HOME"},
		"Windows' disk, in WSL":    {root + "30 22 0:52 / /mnt/c rw - 9p C:\\134 rw\n", "/mnt/c/state/berth/local", "is 9p", "XDG_STATE_HOME"},
		"a name with a space":      {root + "30 22 8:2 / /media/my\\040disk rw,noexec - ext4 /dev/sda2 rw\n", "/media/my disk/berth/local", "/media/my disk is mounted noexec", "remount"},
		"a name with a colon":      {root, "/srv/a:b/berth/local", "a colon or a comma", "XDG_STATE_HOME"},
		"a path that is too long":  {root, "/srv/" + strings.Repeat("a", 60) + "/berth/local", "too long a path", "shorter"},
		"a system without mounts?": {"", state, "", ""},
	} {
		p := &Provider{layout: layout{test.state, cache}}
		told(t, name, p.checkFolders(fakeHost(t, map[string]string{"/proc/self/mountinfo": test.mounts})), test.problem, test.remedy)
	}
}
