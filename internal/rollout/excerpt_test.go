package rollout

import (
	"fmt"
	"strings"
	"testing"
)

// many is a number of lines that say nothing.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[2026-01-01 00:00:%02d +0000] [7] [INFO] worker %d leaves\n", i%60, i)
	}
	return b.String()
}

func TestTheTracebackIsShownWhole(t *testing.T) {
	tests := []struct {
		name, log, first, last string
	}{
		{"Python, under gunicorn, 55 lines above the end",
			"[2026-01-01 00:00:00 +0000] [7] [INFO] Starting gunicorn 22.0.0\n[2026-01-01 00:00:00 +0000] [8] [ERROR] Exception in worker process\n" +
				"Traceback (most recent call last):\n  File \"/app/app.py\", line 1, in <module>\n    import flask_sqlalchemy\nModuleNotFoundError: No module named 'flask_sqlalchemy'\n" + many(55),
			"Traceback (most recent call last):", "ModuleNotFoundError: No module named 'flask_sqlalchemy'"},
		{"Python, one exception of another",
			"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    x()\nKeyError: 'A'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 2, in g\n    y()\nRuntimeError: no A\n",
			"Traceback (most recent call last):", "RuntimeError: no A"},
		{"Node",
			"> shop@1.0.0 start\n> node server.js\n\nnode:internal/modules/cjs/loader:1143\n  throw err;\n  ^\n\nError: Cannot find module 'express'\nRequire stack:\n- /app/server.js\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1140:15)\n    at require (node:internal/modules/helpers:177:18) {\n  code: 'MODULE_NOT_FOUND'\n}\n\nNode.js v20.19.2\n",
			"node:internal/modules/cjs/loader:1143", "Node.js v20.19.2"},
		{"Java", "INFO starting\nException in thread \"main\" java.lang.IllegalStateException: no settings\n\tat com.example.Main.main(Main.java:7)\nCaused by: java.io.FileNotFoundException: /etc/x\n\tat java.base/java.io.F.open(F.java:1)\n\t... 1 more\n" + many(30),
			"Exception in thread", "... 1 more"},
		{"Go", "starting\npanic: runtime error: index out of range [3] with length 1\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\nexit status 2\n",
			"panic: runtime error", "/src/main.go:7 +0x1d"},
		{"Ruby", "/app/app.rb:1:in 'Kernel#require': cannot load such file -- sinatra (LoadError)\n\tfrom /app/app.rb:1:in '<main>'\n",
			"/app/app.rb:1:in", "from /app/app.rb:1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lines := strings.Split(strings.TrimSuffix(test.log, "\n"), "\n")
			begin, end := traceback(lines)
			if begin < 0 {
				t.Fatal("no traceback was found")
			}
			if !strings.Contains(lines[begin], test.first) || !strings.Contains(lines[end-1], test.last) {
				t.Errorf("from %q to %q, want from %q to %q", lines[begin], lines[end-1], test.first, test.last)
			}
			got := strings.Join(excerpt(lines), "\n")
			if !strings.Contains(got, strings.Join(lines[begin:end], "\n")) {
				t.Errorf("the excerpt does not have all of it:\n%s", got)
			}
			if n := len(excerpt(lines)); n > end-begin+afterLines+1 {
				t.Errorf("%d lines", n)
			}
		})
	}
}

func TestWithoutATracebackTheEndIsShown(t *testing.T) {
	lines := strings.Split(many(50), "\n")
	if got := excerpt(lines); len(got) != tailLines || got[0] != lines[len(lines)-tailLines] {
		t.Errorf("got %d lines from %q", len(got), got[0])
	}
	for _, harmless := range []string{"Error: it did not work", "INFO error: none", "panic button pressed"} {
		if begin, _ := traceback([]string{"a", harmless, "b"}); begin >= 0 {
			t.Errorf("%q is taken for a traceback", harmless)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("Traceback (most recent call last):\n  x\nE\n\nnode:x:1\nError: a\n    at b\n")
	f.Fuzz(func(t *testing.T, log string) {
		if n := len(excerpt(strings.Split(log, "\n"))); n > traceLines+afterLines+tailLines+2 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestHints(t *testing.T) {
	tests := []struct{ line, want string }{
		{`nginx: [emerg] mkdir() "/var/cache/nginx/client_temp" failed (30: Read-only file system)`, "writable: [/var/cache/nginx/client_temp]"},
		{"OSError: [Errno 30] Read-only file system: '/app/instance/shop.db'", "writable: [/app/instance]"},
		{"Error: EROFS: read-only file system, mkdir '/app/.next/cache'", "writable: [/app/.next/cache]"},
		{"open /data.db: read-only file system", "writable: true"},
		{"sqlite3.OperationalError: attempt to write a readonly database", "writable"},
		{"PermissionError: [Errno 13] Permission denied: '/srv/files'", "/srv/files: user, in berth.yaml"},
		{"Error: EACCES: permission denied, open '/app/x'", "/app/x: user, in berth.yaml"},
		{"bind() to 0.0.0.0:80 failed (13: Permission denied)", "port is in berth.yaml"},
		{"Error: listen EADDRINUSE: address already in use :::8000", "port and command"},
		{`FATAL:  password authentication failed for user "app"`, "secrets"},
		{`could not translate host name "db" to address: Name or service not known`, "env and secrets"},
		{"Error: getaddrinfo ENOTFOUND redis", "env and secrets"},
		{"KeyError: 'SECRET_KEY'", "SECRET_KEY is not set"},
		{"panic: could not read settings: KNOB_THING is not set", "KNOB_THING is not set"},
		{`psycopg.errors.UndefinedTable: relation "users" does not exist`, "release, in berth.yaml"},
		{"ModuleNotFoundError: No module named 'flask'", "Dockerfile"},
		{"exec /app/server: exec format error", "build.platform"},
		{"all is well", ""},
	}
	for _, test := range tests {
		got := Reason{Log: []string{"starting", test.line}, Reason: crashLoop}.hint()
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.line, got, test.want)
		}
	}
	zero := int32(0)
	states := []struct {
		r    Reason
		want string
	}{
		{Reason{Reason: "OOMKilled"}, "resources.memory"},
		{Reason{Reason: crashLoop, ExitCode: &zero}, "command"},
		{Reason{Reason: "StartError", Message: `exec: "server": executable file not found in $PATH`}, "command"},
		{Reason{Reason: "StartError", Message: "exec /x: exec format error"}, "build.platform"},
		{Reason{Reason: "CreateContainerConfigError", Message: "container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root"}, "user: 1000"},
		{Reason{Reason: "CreateContainerConfigError", Message: "container has runAsNonRoot and image will run as root"}, "user: 1000"},
		{Reason{Reason: "ImagePullBackOff", Message: "401 Unauthorized"}, "login"},
		{Reason{Reason: "ErrImagePull", Message: "dial tcp: lookup registry.example: no such host"}, "registry does not exist"},
		{Reason{Reason: "ErrImagePull", Message: "manifest unknown"}, "no such image"},
		{Reason{Reason: "Unschedulable", Message: "pod has unbound immediate PersistentVolumeClaims"}, "StorageClass"},
		{Reason{Reason: "Unschedulable", Message: "0/2 nodes are available: 2 Insufficient memory."}, "resources"},
		{Reason{Reason: "FailedCreate", Message: "exceeded quota: q"}, "ResourceQuota"},
		{Reason{Reason: "Evicted", Message: "The node was low on resource: memory."}, "resources"},
	}
	for _, test := range states {
		if got := test.r.hint(); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.r, got, test.want)
		}
	}
}
