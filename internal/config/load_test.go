package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

// folder writes files into a folder of their own; secret ones get mode 0600.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, ".") {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const minimal = `
name: tiny
dockerfile: Dockerfile
port: 80
environments:
  staging: {hosts: [staging.tiny.localhost]}
  production: {hosts: [tiny.localhost]}
`

func TestLoadFillsInTheDefaults(t *testing.T) {
	dir := folder(t, map[string]string{File: minimal})
	c, err := Load(dir, []string{"XDG_STATE_HOME=/state"})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Name: "tiny", Provider: "local", Dockerfile: "Dockerfile", Context: ".", Port: 80, Health: Health{Path: "/", Timeout: Duration(3 * time.Second)},
		Environments: map[string]Environment{
			"staging":    {Hosts: []string{"staging.tiny.localhost"}, Database: NoDatabase, Replicas: 1},
			"production": {Hosts: []string{"tiny.localhost"}, Database: NoDatabase, Replicas: 1},
		},
		Local:    Local{Nodes: 1, HTTP: "127.0.0.1:8080", HTTPS: "127.0.0.1:8443", Network: "10.118.0.0/16"},
		Existing: Existing{IngressClass: "nginx"},
		DigitalOcean: DigitalOcean{
			Cluster: "tiny", Region: "fra1", Nodes: 2, Size: "s-2vcpu-4gb", Maintenance: "sunday 04:00",
			Ingress: IngressF5, IngressClass: "nginx", Certificates: NoCertificates, StorageClass: "do-block-storage",
		},
		Dir: dir, StateDir: "/state/berth", DotEnv: map[string]string{},
	}
	c.order, c.lines, c.zeros = nil, nil, nil
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestTheRepositorysOwnFileIsGood(t *testing.T) {
	c, err := Load("../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.EnvironmentNames(); !cmp.Equal(got, []string{"staging", "production"}) {
		t.Errorf("environments are deployed in the order %v", got)
	}
	sample, err := os.ReadFile("../../.env.sample")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDotEnv(string(sample)); err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Secrets {
		if !strings.Contains(string(sample), "\n#"+name+"=\n") {
			t.Errorf(".env.sample does not have %s", name)
		}
	}
}

func TestTheProcessEnvironmentGoesBeforeDotEnvForKnownNames(t *testing.T) {
	dir := folder(t, map[string]string{
		File:   minimal + "secrets: [TOKEN, OTHER]\n",
		".env": "TOKEN=file\nOTHER=file\nUNKNOWN=file\n",
	})
	c, err := Load(dir, []string{"TOKEN=process", "STAGING_TOKEN=own", "UNKNOWN=process", "BUCKET_ACCESS_KEY=key", "HOME=/root"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"TOKEN": "process", "STAGING_TOKEN": "own", "OTHER": "file", "UNKNOWN": "file", "BUCKET_ACCESS_KEY": "key"}
	if diff := cmp.Diff(want, c.DotEnv); diff != "" {
		t.Error(diff)
	}
}

func TestFindLooksUpwards(t *testing.T) {
	dir := folder(t, map[string]string{File: minimal})
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(below); err != nil || got != dir {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Find("/"); !fault.IsUsage(err) || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheStateFolder(t *testing.T) {
	for _, test := range []struct {
		environ []string
		uid     int
		want    string
	}{
		{nil, 0, "/var/lib/berth"},
		{[]string{"HOME=/home/ann"}, 1000, "/home/ann/.local/state/berth"},
		{[]string{"HOME=/home/ann", "XDG_STATE_HOME=/s"}, 1000, "/s/berth"},
		{[]string{"XDG_STATE_HOME=/s"}, 0, "/s/berth"},
		{[]string{"XDG_STATE_HOME=relative"}, 0, "/var/lib/berth"},
	} {
		if got := stateDir(environmentMap(test.environ), test.uid); got != test.want {
			t.Errorf("%v as %d: got %s, want %s", test.environ, test.uid, got, test.want)
		}
	}
}
