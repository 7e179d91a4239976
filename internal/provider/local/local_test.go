package local

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"berth/internal/fault"
)

func TestNetworkPlan(t *testing.T) {
	n := network{netip.MustParsePrefix("10.118.0.0/16")}
	for _, c := range []struct{ what, got, want string }{
		{"API server", n.api().String(), "10.118.0.1"},
		{"DNS server", n.dns().String(), "10.118.0.2"},
		{"node 1", n.node(1).String(), "10.118.0.11"},
		{"pods of node 1", n.pods(1).String(), "10.118.1.0/24"},
		{"last node", n.node(maxNodes).String(), "10.118.0.70"},
		{"pods of the last node", n.pods(maxNodes).String(), "10.118.60.0/24"},
		{"services", n.services().String(), "10.118.128.0/17"},
		{"service of the API server", n.firstService().String(), "10.118.128.1"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.what, c.got, c.want)
		}
	}
	for i := 1; i <= maxNodes; i++ {
		if pods := n.pods(i); pods.Overlaps(n.machine()) || pods.Overlaps(n.services()) || !n.cluster().Overlaps(pods) {
			t.Fatalf("pods of node %d have %s, which is not theirs alone", i, pods)
		}
	}
}

func TestReserve(t *testing.T) {
	total, err := machineMemory()
	if err != nil {
		t.Fatal(err)
	}
	all, err := reserve("")
	if err != nil || all != (reservation{}) {
		t.Errorf("no size reserves %+v, %v; want nothing", all, err)
	}
	small, err := reserve("s-1vcpu-1gb")
	if err != nil {
		t.Fatal(err)
	}
	if left := int64(runtime.NumCPU())*1000 - small.milliCPU; left != 1000 {
		t.Errorf("a node of one CPU offers %dm", left)
	}
	if left := total - small.bytes; left != 1<<30 {
		t.Errorf("a node of 1 GB offers %d bytes", left)
	}
	for _, size := range []string{"s-4096vcpu-1gb", "s-1vcpu-1048576gb", "large"} {
		if _, err := reserve(size); !fault.IsUsage(err) {
			t.Errorf("size %s gives %v, want a usage error", size, err)
		}
	}
}

func TestRemoveEmptyFoldersSparesOthersFiles(t *testing.T) {
	root := t.TempDir()
	empty, used := filepath.Join(root, "empty"), filepath.Join(root, "used")
	for _, folder := range []string{filepath.Join(empty, "a", "b"), filepath.Join(used, "a", "b")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(used, "a", "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	removeEmptyFolders(empty)
	removeEmptyFolders(used)
	removeEmptyFolders(filepath.Join(root, "missing"))
	if exists(empty) {
		t.Error("empty folders are still there")
	}
	if !exists(file) {
		t.Error("somebody's file is gone")
	}
}

// A proxy is for what is elsewhere. Whether it is asked is Go's to say, which
// reads the variables once a process, so each case has one of its own.
func TestNoProxyIsAskedForTheCluster(t *testing.T) {
	const asked = "BERTH_TEST_ASKED"
	if os.Getenv(asked) != "" {
		if err := (network{netip.MustParsePrefix("10.118.0.0/16")}).askNoProxy(); err != nil {
			t.Fatal(err)
		}
		for url, want := range map[string]bool{"https://10.118.0.1:6443": false, "https://10.118.0.1:9000": false, "https://deb.debian.org": true, "https://mirror.example.com": os.Getenv(asked) == "proxied"} {
			request := httptest.NewRequest("GET", url, nil)
			proxy, err := http.ProxyFromEnvironment(request)
			if err != nil || (proxy != nil) != want {
				t.Errorf("%s by %v, %v", url, proxy, err)
			}
		}
		return
	}
	for name, environment := range map[string][]string{
		"nothing said":     {asked + "=proxied"},
		"something said":   {asked + "=direct", "NO_PROXY=mirror.example.com"},
		"in small letters": {asked + "=direct", "no_proxy=mirror.example.com"},
		"the same again":   {asked + "=direct", "NO_PROXY=10.118.0.0/16,mirror.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			again := exec.Command(os.Args[0], "-test.run", "^TestNoProxyIsAskedForTheCluster$")
			again.Env = append([]string{"HTTPS_PROXY=http://proxy:3128", "TMPDIR=" + t.TempDir()}, environment...)
			if output, err := again.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
		})
	}
}
