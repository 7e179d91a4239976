package rollout

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	core "k8s.io/api/core/v1"
)

// logHint is what a line of a program's log says of berth.yaml.
type logHint struct {
	said *regexp.Regexp
	hint func(line string, found []string) string
}

// logHints are what a program's last words say of berth.yaml. The first that
// matches counts; %s takes what it found.
var logHints = []logHint{
	{regexp.MustCompile(`(?i)exec (/\S+): no such file|env: .*(\\r|\r)'|\^M: bad interpreter`), always("the first line of that script names a program that the image does not have, or the file has Windows' line ends: save it with LF alone")},
	{regexp.MustCompile(`sh: (?:line )?(?:\d+: )?(\S+): (?:command )?not found$`), func(_ string, m []string) string {
		return fmt.Sprintf("the image has no program %s: command is in berth.yaml, and the Dockerfile installs programs", m[1])
	}},
	{regexp.MustCompile(`sh: (?:line )?(?:\d+: )?(\S+): Permission denied$`), func(_ string, m []string) string {
		return fmt.Sprintf("%s may not be executed: chmod +x, in the Dockerfile or the repository", m[1])
	}},
	{regexp.MustCompile(`(?i)out ?of ?memory|\bMemoryError|NoMemoryError|cannot allocate memory`), always(memoryHint)},
	{regexp.MustCompile(`(?i)(?:ECONNREFUSED|connection refused|could not connect|can't connect)[^\n]*(?:127\.0\.0\.1|localhost|::1)|(?:127\.0\.0\.1|localhost|::1)[^\n]*(?:ECONNREFUSED|connection refused)`),
		always("localhost is the pod itself, where no other server runs: DATABASE_URL, REDIS_URL and their parts lead to the database and the services; env and references are in berth.yaml")},
	{regexp.MustCompile(`(?i)not support (?:SSL|TLS)|No SSL enabled connection`), always("berth's PostgreSQL serves without TLS, as its connections stay inside the environment: turn SSL off in the application (sslmode=disable)")},
	{regexp.MustCompile(`(?:role|user) "[^"]*" does not exist|database "[^"]*" does not exist`), always("the database and its user have other names here: PGDATABASE and PGUSER tell them, and DATABASE_URL; env and references are in berth.yaml")},
	{regexp.MustCompile(`extension "[^"]*" is not available|extension control file|denied to create extension`), always("berth's PostgreSQL has PostgreSQL's own extensions, and the application's user may create those that are trusted")},
	{regexp.MustCompile(`secret_key_base|RAILS_MASTER_KEY|MessageEncryptor::InvalidMessage|encryption key to decrypt`), always("RAILS_MASTER_KEY, under secrets in berth.yaml, must have the value of config/master.key in .env; or give SECRET_KEY_BASE")},
	{regexp.MustCompile(`No application encryption key|incorrect key length`), always("APP_KEY, under secrets in berth.yaml, must have in .env what this prints: php artisan key:generate --show")},
	{regexp.MustCompile(`(?i)(?:["' (]|open |mkdir )(/[^"' :,)]+)[^\n]*(?:read-only file system|EROFS)`), writableFile},
	{regexp.MustCompile(`(?i)(?:read-only file system|EROFS)[^\n/]*["' ](/[^"' :,)]+)`), writableFile},
	{regexp.MustCompile(`(?i)read-only file system|EROFS|attempt to write a readonly database`), always("the root file system is read-only: writable, in berth.yaml, names the folders that the program writes to, or is true for all of it")},
	{regexp.MustCompile(`(?i)bind[^\n]*(permission denied|EACCES)|listen EACCES`), always("an ordinary user may not listen on a port below 1024 here: port is in berth.yaml")},
	{regexp.MustCompile(`(?i)(?:(?:permission denied|EACCES)[^\n/]*["' ](/[^"' :,)]+)|["' ](/[^"' :,)]+)[^\n]*(?:permission denied))`), func(_ string, m []string) string {
		return fmt.Sprintf("the user that it runs as may not use %s: user, in berth.yaml, is the uid; the image may also give the file away (chown)", m[1]+m[2])
	}},
	{regexp.MustCompile(`(?i)address already in use|EADDRINUSE`), always("something in the container listens on that port already: port and command are in berth.yaml")},
	{regexp.MustCompile(`(?i)password authentication failed|access denied for user|WRONGPASS|NOAUTH`), always("the server refuses the password: it comes from secrets, in berth.yaml, and .env")},
	{regexp.MustCompile(`(?i)could not translate host name|\bENOTFOUND\b|EAI_AGAIN|no such host|name or service not known|temporary failure in name resolution|getaddrinfo`), always("a host's name is not known here: env and secrets, in berth.yaml, say what the program connects to")},
	{regexp.MustCompile(`(?i)no such table|relation "[^"]*" does not exist|unapplied migration|PendingMigration|Base table or view not found|The table ` + "`[^`]*`" + ` does not exist`), always("the database does not have a table: release, in berth.yaml, is the command that migrates it")},
	{regexp.MustCompile(`exec format error`), always("the image is for another kind of processor: build.platform is in berth.yaml")},
	{variableNotSet, func(_ string, m []string) string {
		return fmt.Sprintf("%s is not set: env and secrets are in berth.yaml", strings.Join(m[1:], ""))
	}},
	{regexp.MustCompile(`Err. value: NotPresent|Field required \[type=missing`), always("it reads a variable that is not set: env and secrets are in berth.yaml")},
	{regexp.MustCompile(`ModuleNotFoundError|ImportError|Cannot find (?:module|package)|cannot load such file|ClassNotFoundException|UnsupportedClassVersionError|error while loading shared libraries|GLIBC_[0-9.]+. not found`), always("the program does not find a file that it loads: see what the Dockerfile installs and copies")},
}

// variableNotSet is how libraries of many languages say so.
var variableNotSet = regexp.MustCompile(strings.Join([]string{
	`KeyError: '([A-Z][A-Z0-9_]+)'`,
	`\b([A-Z][A-Z0-9_]{2,})\b["'` + "`" + `]?(?: setting)? (?:is|must be|was|must not be) (?:not set|set|required|missing|undefined|empty)`,
	`(?i:missing|undefined|required) (?i:environment variable|env var)\S*:? ["']?([A-Z][A-Z0-9_]+)`,
	`(?i:environment variable not found): "?([A-Z][A-Z0-9_]+)`,
	`Set the ([A-Z][A-Z0-9_]+) environment variable`,
	`([A-Z][A-Z0-9_]+) not found\. Declare it as envvar`,
	`key not found: "([A-Z][A-Z0-9_]+)"`,
	`required key ([A-Z][A-Z0-9_]+) missing value`,
	`Could not resolve placeholder '([^':]+)'`,
	`could not fetch environment variable "([A-Z][A-Z0-9_]+)"`,
}, "|"))

// weakHints are taken when no other line of the log says more.
var weakHints = []logHint{
	{regexp.MustCompile(`(?i)ECONNREFUSED|connection refused`), always("a server that it connects to does not answer: env and secrets, in berth.yaml, say which")},
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

// stateHints are what Kubernetes' own words say of berth.yaml, by a part of the reason
// and what the message says; without an expression every one. The first that fits
// counts.
var stateHints = []struct {
	reason string
	said   *regexp.Regexp
	hint   string
}{
	{"OOMKilled", nil, memoryHint},
	{"Completed", nil, "a web process has to keep running: command is in berth.yaml"},
	{"", says("exec format error"), "the image is for another kind of processor: build.platform is in berth.yaml"},

	{startFailed, says("OOM-killed|memory limit too low"), memoryHint},
	{startFailed, says(`exec: "(/bin/|/usr/bin/)?(ba|da|a)?sh"`), "the image has no shell, which a command that is a text needs: write command, in berth.yaml, as a list"},
	{startFailed, says("chdir to cwd"), "the user that it runs as may not enter the image's WORKDIR: user is in berth.yaml"},
	{startFailed, says("exec: .*(permission denied|is a directory)"), "that is no program, or none that may be executed (chmod +x, in the Dockerfile): command is in berth.yaml"},
	{startFailed, says("not a directory"), "a folder cannot be put where the image has a file: volumes and writable are in berth.yaml"},
	{startFailed, says("exec: "), "the image has no such program: command is in berth.yaml"},
	{"Create", says("no command specified"), "the image has neither ENTRYPOINT nor CMD: command is in berth.yaml"},
	{"", says("no users found|no groups found|unable to find (user|group)|matching entries in (passwd|group) file"), "the image does not know the user or group that its USER names: user, in berth.yaml, takes numbers"},

	{"CreateContainerConfigError", says("non-numeric user"), "name the uid by user in berth.yaml: user: 1000"},
	{"CreateContainerConfigError", says("will run as root"), "name a uid other than root by user in berth.yaml: user: 1000"},
	{"CreateContainerConfigError", says("couldn't find key"), "the Secret or ConfigMap that values name has no such entry"},
	{"CreateContainerConfigError", says("not found"), "a Secret or ConfigMap that values name is not there"},
	{"FailedMount", says("(secret|configmap) .* not found"), "a Secret or ConfigMap that values name is not there"},
	{"FailedAttachVolume", says("Multi-Attach|already (exclusively )?attached"), "a volume is on one node at a time, and another node still has it: that passes once the pods there are gone"},
	{"FailedMount", nil, "the volume cannot be used on that node: berth status shows its state"},
	{"FailedAttachVolume", nil, "the volume cannot be used on that node: berth status shows its state"},
	{"FailedCreatePodSandBox", nil, "the node cannot give the pod a network: berth status shows its state"},

	{"ImagePull", says("no match for platform"), "the image is for another kind of processor than the nodes': build.platform is in berth.yaml"},
	{"ImagePull", says("no space left on device"), "the node's disk is full"},
	{"ImagePull", says("429|toomanyrequests"), "the registry says that there were too many pulls: wait, or let the cluster log in (image.pullSecrets among the chart's values)"},
	{"ImagePull", says("unauthorized"), "the registry asks for a login: image.pullSecrets is among the chart's values"},
	{"ImagePull", says("denied|forbidden"), "the registry refuses access, or there is no such image: check its name, and image.pullSecrets among the chart's values"},
	{"ImagePull", says("no such host"), "that registry does not exist: see the image's name"},
	{"ImagePull", says("x509:"), "the nodes do not trust the registry's certificate"},
	{"ImagePull", says("HTTP response to HTTPS client"), "the registry speaks plain HTTP, and nodes use TLS"},
	{"ImagePull", says("unexpected status.*: 5\\d\\d"), "the registry has a fault of its own: try again later"},
	{"ImagePull", says("timeout|deadline exceeded|connection refused|no route to host|network is unreachable|server misbehaving"), "the nodes do not reach the registry"},
	{"ImagePull", says("not found|manifest unknown"), "the registry has no such image: check its name and tag, and that it was pushed"},
	{"InvalidImageName", nil, "see the image's name"},
	{"ErrImageNeverPull", nil, "the image is not on the node, and may not be pulled"},

	{unschedulable, says("volume node affinity conflict|persistentvolumeclaim .* not found"), "its volume is on another node, or gone: all pods of an environment with volumes run on one node"},
	{unschedulable, says("unbound|binding volumes"), "its volume is not there yet: the cluster has to have a StorageClass that makes it"},
	{unschedulable, says("Insufficient"), "no node has that much left: resources, in berth.yaml, is what a pod asks for; berth scale makes nodes"},
	{unschedulable, says("disk-pressure"), "the node's disk is full"},
	{unschedulable, says("memory-pressure"), "the node has no memory left: berth scale makes nodes, or larger ones"},
	{unschedulable, says("taint {node.kubernetes.io/(not-ready|unreachable)|network-unavailable"), "the node is not ready: berth status shows its state"},
	{unschedulable, says("unschedulable|Too many pods"), "no node takes more pods: berth scale makes nodes"},
	{unschedulable, says("node affinity|node selector"), "no node is as values ask for"},
	{unschedulable, says("no nodes available"), "the cluster has no node: berth scale makes nodes"},

	{"FailedCreate", says("exceeded quota|failed quota"), "the namespace has a ResourceQuota: resources, in berth.yaml, is what a pod asks for"},
	{"FailedCreate", says("violates PodSecurity"), "the namespace allows pods of the standard restricted alone"},
	{"FailedCreate", says("(maximum|minimum) .* usage per|limit to request ratio"), "the namespace has a LimitRange: resources, in berth.yaml, is what a pod asks for"},
	{"FailedCreate", says("denied the request"), "the cluster's own rules refuse it: its administrator knows them"},
	{"FailedCreate", says("failed calling webhook"), "a webhook of the cluster does not answer: see to the pods behind it"},
	{"FailedCreate", says("service account"), "the service account that values name is not there"},

	{"Evicted", says("EmptyDir volume"), "a folder of writable, in berth.yaml, holds at most 256 MiB: what is larger belongs in a volume"},
	{"Evicted", says("ephemeral"), "it filled the node's disk: large files belong in a volume, and logs on the standard output"},
	{"Evicted", nil, "the node ran out of it: resources, in berth.yaml, says what a pod requests"},
	{"OutOf", nil, "the node has not that much left: resources, in berth.yaml, is what a pod asks for; berth scale makes nodes"},
}

const (
	memoryHint = "resources.memory, in berth.yaml, is its limit"
	// startFailed stands for the reasons of a container whose program did not begin.
	startFailed   = "start failed"
	unschedulable = core.PodReasonUnschedulable
)

// startReasons are what kubelet and runtimes call that.
var startReasons = map[string]bool{"StartError": true, "ContainerCannotRun": true, "RunContainerError": true}

func says(text string) *regexp.Regexp { return regexp.MustCompile("(?i)" + text) }

// exitHints are what shells and the kernel say by an exit code, of a program that
// says nothing itself.
var exitHints = map[int32]string{
	0:   "it exits by itself without an error; a web process has to keep running: command is in berth.yaml",
	126: "the program may not be executed (chmod +x, in the Dockerfile): command is in berth.yaml",
	127: "the image has no such program: command is in berth.yaml",
	132: "the program has instructions that the node's processor does not know: it was built for a newer one",
	137: "it was killed, most often for its memory: " + memoryHint,
	159: "it makes a system call that pods may not make",
}

// hint says which key of berth.yaml puts a reason right, or "".
func (r Reason) hint() string {
	for _, h := range stateHints {
		fits := strings.Contains(r.Reason, h.reason) || h.reason == startFailed && startReasons[r.Reason]
		if fits && (h.said == nil || h.said.MatchString(r.Message)) {
			return h.hint
		}
	}
	for _, hints := range [][]logHint{logHints, weakHints} {
		// What was said last counts most.
		for i := len(r.Log) - 1; i >= 0; i-- {
			for _, h := range hints {
				if found := h.said.FindStringSubmatch(r.Log[i]); found != nil {
					return h.hint(r.Log[i], found)
				}
			}
		}
	}
	if r.Reason == crashLoop && r.ExitCode != nil {
		return exitHints[*r.ExitCode]
	}
	return ""
}
