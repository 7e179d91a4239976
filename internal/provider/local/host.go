package local

import (
	"os"
	"path/filepath"
	"strings"
)

// host is this machine's file system, below its root.
type host string

const thisHost = host("/")

func (h host) path(elements ...string) string {
	return filepath.Join(append([]string{string(h)}, elements...)...)
}

// osRelease is what /etc/os-release says of the system.
func (h host) osRelease() map[string]string {
	content, err := os.ReadFile(h.path("/etc/os-release"))
	if err != nil {
		return nil
	}
	release := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		release[name] = strings.Trim(value, `"'`)
	}
	return release
}

// mount is where a part of the file system comes from.
type mount struct {
	at, kind string
	options  []string
}

// mountOf returns the mount that a path is on.
func (h host) mountOf(path string) mount {
	var found mount
	content, err := os.ReadFile(h.path("/proc/self/mountinfo"))
	if err != nil {
		return found
	}
	for line := range strings.Lines(string(content)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields, more := strings.Fields(before), strings.Fields(after)
		if len(fields) < 6 || len(more) < 1 {
			continue
		}
		at := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4])
		// Of several at one place, the last is on top.
		if (path == at || at == "/" || strings.HasPrefix(path, at+"/")) && len(at) >= len(found.at) {
			found = mount{at, more[0], strings.Split(fields[5], ",")}
		}
	}
	return found
}

// container is the kind of container that this is, or "".
func (h host) container() string {
	switch named := h.words("/run/systemd/container"); {
	case len(named) > 0:
		return named[0]
	case exists(h.path("/.dockerenv")):
		return "docker"
	case exists(h.path("/run/.containerenv")):
		return "podman"
	}
	content, _ := os.ReadFile(h.path("/proc/1/environ")) // root's, who is asked for elsewhere
	for variable := range strings.SplitSeq(string(content), "\x00") {
		if kind, ok := strings.CutPrefix(variable, "container="); ok {
			return kind
		}
	}
	return ""
}

// words are those of a file, none where it is not.
func (h host) words(elements ...string) []string {
	content, err := os.ReadFile(h.path(elements...))
	if err != nil {
		return []string{}
	}
	return strings.Fields(string(content))
}
