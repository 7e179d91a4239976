package local

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"testing"
)

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
