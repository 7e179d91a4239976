package rollout

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// logHints are what a program's last words say of berth.yaml. The first that
// matches counts; %s takes what it found.
var logHints = []struct {
	said *regexp.Regexp
	hint func(line string, found []string) string
}{
	{regexp.MustCompile(`(?i)(?:["' (]|open |mkdir )(/[^"' :,)]+)[^\n]*(?:read-only file system|EROFS)`), writableFile},
	{regexp.MustCompile(`(?i)(?:read-only file system|EROFS)[^\n/]*["' ](/[^"' :,)]+)`), writableFile},
	{regexp.MustCompile(`(?i)read-only file system|EROFS|attempt to write a readonly database`), always("the root file system is read-only: writable, in berth.yaml, names the folders that the program writes to, or is true for all of it")},
	{regexp.MustCompile(`(?i)bind[^\n]*(permission denied|EACCES)|listen EACCES`), always("an ordinary user may not listen on a port below 1024 here: port is in berth.yaml")},
	{regexp.MustCompile(`(?i)(?:(?:permission denied|EACCES)[^\n/]*["' ](/[^"' :,)]+)|["' ](/[^"' :,)]+)[^\n]*(?:permission denied))`), func(_ string, m []string) string {
		return fmt.Sprintf("the user that it runs as may not use %s: user, in berth.yaml, is the uid; the image may also give the file away (chown)", m[1]+m[2])
	}},
	{regexp.MustCompile(`(?i)address already in use|EADDRINUSE`), always("something in the container listens on that port already: port and command are in berth.yaml")},
	{regexp.MustCompile(`(?i)password authentication failed|access denied for user|WRONGPASS`), always("the server refuses the password: it comes from secrets, in berth.yaml, and .env")},
	{regexp.MustCompile(`(?i)could not translate host name|\bENOTFOUND\b|EAI_AGAIN|no such host|name or service not known|temporary failure in name resolution|getaddrinfo`), always("a host's name is not known here: env and secrets, in berth.yaml, say what the program connects to")},
	{regexp.MustCompile(`(?i)no such table|relation "[^"]*" does not exist|unapplied migration`), always("the database does not have a table: release, in berth.yaml, is the command that migrates it")},
	{regexp.MustCompile(`exec format error`), always("the image is for another kind of processor: build.platform is in berth.yaml")},
	{regexp.MustCompile(`KeyError: '([A-Z][A-Z0-9_]+)'|\b([A-Z][A-Z0-9_]{2,})\b (?:is|must be|was) (?:not set|set|required|missing|undefined)|(?i:missing|undefined|required) (?i:environment variable|env var)\S*:? ["']?([A-Z][A-Z0-9_]+)`), func(_ string, m []string) string {
		return fmt.Sprintf("%s is not set: env and secrets are in berth.yaml", m[1]+m[2]+m[3])
	}},
	{regexp.MustCompile(`ModuleNotFoundError|ImportError|Cannot find (?:module|package)|cannot load such file|ClassNotFoundException`), always("the program does not find a file that it loads: see what the Dockerfile installs and copies")},
}

func always(hint string) func(string, []string) string {
	return func(string, []string) string { return hint }
}

// writableFile is the hint for a file, or a folder, that could not be made.
func writableFile(line string, m []string) string {
	if strings.Contains(line, "mkdir") {
		return writable(m[1])
	}
	return writable(path.Dir(m[1]))
}

func writable(folder string) string {
	if folder == "/" || folder == "." || strings.Count(folder, "/") < 2 {
		return "the root file system is read-only: writable: true, in berth.yaml, makes all of it writable"
	}
	return fmt.Sprintf("the root file system is read-only: writable: [%s], in berth.yaml, puts an empty folder there; writable: true makes all of it writable", folder)
}

// stateHints are what Kubernetes' own words say of berth.yaml, by the reason and
// a part of the message; an empty part fits every one.
var stateHints = []struct{ reason, part, hint string }{
	{"OOMKilled", "", "resources.memory, in berth.yaml, is its limit"},
	{"Completed", "", "a web process has to keep running: command is in berth.yaml"},
	{"", "exec format error", "the image is for another kind of processor: build.platform is in berth.yaml"},
	{"StartError", "", "the image has no such program: command is in berth.yaml"},
	{"ContainerCannotRun", "", "the image has no such program: command is in berth.yaml"},
	{"RunContainerError", "", "the image has no such program: command is in berth.yaml"},
	{"CreateContainerConfigError", "non-numeric user", "name the uid by user in berth.yaml: user: 1000"},
	{"CreateContainerConfigError", "will run as root", "name a uid other than root by user in berth.yaml: user: 1000"},
	{"CreateContainerConfigError", "not found", "a Secret or ConfigMap that values name is not there"},
	{"ImagePull", "unauthorized", "the registry asks for a login: image.pullSecrets is among the chart's values"},
	{"ImagePull", "denied", "the registry refuses access, or there is no such image: check its name, and image.pullSecrets among the chart's values"},
	{"ImagePull", "no such host", "that registry does not exist: see the image's name"},
	{"ImagePull", "not found", "the registry has no such image: check its name and tag, and that it was pushed"},
	{"ImagePull", "manifest unknown", "the registry has no such image: check its name and tag, and that it was pushed"},
	{"InvalidImageName", "", "see the image's name"},
	{"ErrImageNeverPull", "", "the image is not on the node, and may not be pulled"},
	{"Unschedulable", "Insufficient", "no node has that much left: resources, in berth.yaml, is what a pod asks for; berth scale makes nodes"},
	{"Unschedulable", "unbound", "its volume is not there yet: the cluster has to have a StorageClass that makes it"},
	{"FailedCreate", "exceeded quota", "the namespace has a ResourceQuota: resources, in berth.yaml, is what a pod asks for"},
	{"FailedCreate", "violates PodSecurity", "the namespace allows pods of the standard restricted alone"},
	{"Evicted", "", "the node ran out of it: resources, in berth.yaml, says what a pod requests"},
}

// hint says which key of berth.yaml puts a reason right, or "".
func (r Reason) hint() string {
	for _, h := range stateHints {
		if strings.Contains(r.Reason, h.reason) &&
			strings.Contains(strings.ToLower(r.Message), strings.ToLower(h.part)) {
			return h.hint
		}
	}
	// What was said last counts most.
	for i := len(r.Log) - 1; i >= 0; i-- {
		for _, h := range logHints {
			if found := h.said.FindStringSubmatch(r.Log[i]); found != nil {
				return h.hint(r.Log[i], found)
			}
		}
	}
	if r.Reason == crashLoop && r.ExitCode != nil && *r.ExitCode == 0 {
		return "it exits by itself without an error; a web process has to keep running: command is in berth.yaml"
	}
	return ""
}
