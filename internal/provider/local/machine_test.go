package local

import (
	"os"
	"testing"
)

// A stopped cluster leaves the machine as it was found, and to others what they
// have come to need meanwhile.
func TestRestoreMachine(t *testing.T) {
	const forward, profiles, remove = "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/security/apparmor/profiles", "/sys/kernel/security/apparmor/.remove"
	plain := map[string]string{
		forward: "0\n", profiles: "docker-default (enforce)\n", remove: "", subtreeControl: "memory pids\n",
		"/sys/class/net/lo/mtu": "65536", "/proc/7/attr/current": "unconfined\n",
	}
	for name, test := range map[string]struct {
		before, meanwhile, want map[string]string
	}{
		"nobody else": {
			want: map[string]string{forward: "0", remove: containerdProfile, subtreeControl: "-cpu"},
		},
		"Docker was installed meanwhile": {
			meanwhile: map[string]string{"/sys/class/net/docker0/bridge/bridge_id": "8000"},
			want:      map[string]string{forward: "1", remove: containerdProfile},
		},
		"a bridge was there all the time, and nothing was forwarded": {
			before: map[string]string{"/sys/class/net/br0/bridge/bridge_id": "8000"},
			want:   map[string]string{forward: "0"},
		},
		"it forwarded before": {
			before: map[string]string{forward: "1"},
			want:   map[string]string{forward: "1"},
		},
		"another containerd had the profile before": {
			before: map[string]string{profiles: containerdProfile + " (enforce)\n"},
			want:   map[string]string{remove: ""},
		},
		"another containerd's process has it now": {
			meanwhile: map[string]string{"/proc/8/attr/current": containerdProfile + " (enforce)\n"},
			want:      map[string]string{remove: ""},
		},
		"the root handed all on before": {
			before: map[string]string{subtreeControl: "cpu memory pids\n"},
			want:   map[string]string{subtreeControl: "memory pids cpu\n"},
		},
		"a machine that an earlier berth looked at": {
			meanwhile: map[string]string{"/state/machine.json": `{"sysctls":{"net/ipv4/ip_forward":"0"},"folders":[]}`},
			want:      map[string]string{forward: "0", remove: "", subtreeControl: "memory pids cpu\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t, plain)
			for file, content := range test.before {
				h.write(t, file, content)
			}
			l := layout{state: h.path("state"), cache: h.path("cache")}
			if err := os.MkdirAll(l.in(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := prepareMachine(h, l); err != nil {
				t.Fatal(err)
			}
			if got := h.read(t, forward); got != "1" {
				t.Errorf("the machine forwards packets: %q", got)
			}
			// What the cluster does.
			h.write(t, profiles, "docker-default (enforce)\n"+containerdProfile+" (enforce)\n")
			h.write(t, subtreeControl, "memory pids cpu\n")
			h.write(t, residue[0], "")
			if err := os.MkdirAll(h.path("/opt/cni/empty"), 0o755); err != nil {
				t.Fatal(err)
			}
			for file, content := range test.meanwhile {
				h.write(t, file, content)
			}
			if err := restoreMachine(h, l); err != nil {
				t.Fatal(err)
			}
			for file, want := range test.want {
				if got := h.read(t, file); got != want {
					t.Errorf("%s holds %q, want %q", file, got, want)
				}
			}
			if _, old := test.meanwhile["/state/machine.json"]; !old && (exists(h.path("/opt/cni")) || exists(h.path("/var/lib/kubelet"))) {
				t.Error("folders that were not there are left")
			}
			if exists(l.machine()) {
				t.Error("what was found is still to be put back")
			}
		})
	}
}
