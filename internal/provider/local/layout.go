package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"berth/internal/provider/local/supervisor"
)

// layout is where a local cluster keeps its files. All that must survive is
// below state, all that can be made again below cache.
type layout struct{ state, cache string }

// defaultLayout follows the XDG base directory specification, and the
// Filesystem Hierarchy Standard for root, which the specification leaves out.
func defaultLayout() (layout, error) {
	state, cache := os.Getenv("XDG_STATE_HOME"), os.Getenv("XDG_CACHE_HOME")
	home, err := os.UserHomeDir()
	if err != nil && os.Geteuid() != 0 {
		return layout{}, fmt.Errorf("find the home folder: %w", err)
	}
	if !filepath.IsAbs(state) { // or is none: the specification has such paths ignored
		state = filepath.Join(home, ".local", "state")
		if os.Geteuid() == 0 {
			state = "/var/lib"
		}
	}
	if !filepath.IsAbs(cache) {
		cache = filepath.Join(home, ".cache")
		if os.Geteuid() == 0 {
			cache = "/var/cache"
		}
	}
	return layout{filepath.Join(state, "berth", "local"), filepath.Join(cache, "berth")}, nil
}

func (l layout) in(elements ...string) string {
	return filepath.Join(append([]string{l.state}, elements...)...)
}

func (l layout) cached(elements ...string) string {
	return filepath.Join(append([]string{l.cache}, elements...)...)
}

func (l layout) supervisor() supervisor.Dir { return supervisor.Dir(l.in("supervisor")) }

// Below state.
func (l layout) pki(file string) string { return l.in("pki", file) }

// kubeconfig is a user's file. KUBECONFIG is a list separated by colons, so
// the name has none.
func (l layout) kubeconfig(user string) string {
	return l.in("kubeconfig", fileName(user)+".yaml")
}

func fileName(user string) string { return strings.ReplaceAll(user, ":", "-") }

func (l layout) etc(file string) string { return l.in("etc", file) }
func (l layout) etcd() string           { return l.in("etcd") }
func (l layout) volumes() string        { return l.in("volumes") }
func (l layout) buckets() string        { return l.in("buckets") }
func (l layout) registry() string       { return l.in("registry") }
func (l layout) podLogs() string        { return l.in("pod-logs") }
func (l layout) cluster() string        { return l.in("cluster.json") }
func (l layout) machine() string        { return l.in("machine.json") }
func (l layout) lock() string           { return l.in("lock") }
func (l layout) imageLock() string      { return l.in("images.lock") }

// archives is where images were before there was a registry.
func (l layout) archives() string { return l.in("images") }

// trust is the certificate of the ingress' authority, beside the state that
// only root may enter.
func (l layout) trust() string { return filepath.Join(filepath.Dir(l.state), "ca.crt") }

// Below cache.
func (l layout) toolsLock() string          { return l.cached("tools.lock") }
func (l layout) brought() string            { return l.cached("installed-packages") }
func (l layout) packages() string           { return l.cached("packages") }
func (l layout) program(path string) string { return l.cached("packages", "root", path) }
