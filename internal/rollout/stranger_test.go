package rollout

import (
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The words are those of kubelet 1.37, containerd 2, runc, and the API server.
func TestHintsOfStates(t *testing.T) {
	const (
		pull   = `failed to pull and unpack image "ghcr.io/me/app:1": `
		runc   = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
		during = runc + "error during container init: "
	)
	tests := []struct{ reason, message, want string }{
		// Images.
		{"ErrImagePull", pull + "no match for platform in manifest: not found", "build.platform"},
		{"ErrImagePull", pull + `failed to resolve reference "ghcr.io/me/app:1": ghcr.io/me/app:1: not found`, "no such image"},
		{"ImagePullBackOff", `Back-off pulling image "ghcr.io/me/app:2": ErrImagePull: ` + pull + `failed to resolve image: ghcr.io/me/app:2: not found`, "no such image"},
		{"ErrImagePull", pull + "failed to resolve reference: failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=x: 401 Unauthorized", "asks for a login"},
		{"ErrImagePull", pull + "failed to resolve reference: failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=x: 403 Forbidden", "refuses access"},
		{"ErrImagePull", pull + "failed to resolve reference: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed", "refuses access, or there is no such image"},
		{"ErrImagePull", pull + "failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/redis/manifests/sha256:0f: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit.", "too many"},
		{"ErrImagePull", pull + `failed to do request: Head "https://registry.example/v2/app/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority`, "do not trust"},
		{"ErrImagePull", pull + `failed to do request: Head "https://registry.example/v2/app/manifests/1": http: server gave HTTP response to HTTPS client`, "plain HTTP"},
		{"ErrImagePull", pull + `failed to do request: Head "https://registry.example/v2/app/manifests/1": dial tcp 192.0.2.1:443: i/o timeout`, "do not reach"},
		{"ErrImagePull", pull + `failed to do request: Head "https://registry.example/v2/app/manifests/1": dial tcp 192.0.2.1:443: connect: connection refused`, "do not reach"},
		{"ErrImagePull", pull + `failed to do request: Head "https://registry.example/v2/app/manifests/1": net/http: TLS handshake timeout`, "do not reach"},
		{"ErrImagePull", "rpc error: code = DeadlineExceeded desc = " + pull + "context deadline exceeded", "do not reach"},
		{"ErrImagePull", pull + "unexpected status from HEAD request to https://registry.example/v2/app/manifests/1: 503 Service Unavailable", "fault of its own"},
		{"ErrImagePull", pull + "failed to extract layer sha256:0f: write /usr/lib/x: no space left on device: unknown", "disk is full"},
		{"InvalidImageName", `Failed to apply default image tag "ghcr.io/Me/app:1": couldn't parse image name "ghcr.io/Me/app:1": invalid reference format: repository name (Me/app) must be lowercase`, "image's name"},

		// Making the container.
		{"CreateContainerConfigError", "couldn't find key TOKEN in Secret staging/shop-env", "has no such entry"},
		{"CreateContainerConfigError", `secret "shop-env" not found`, "is not there"},
		{"CreateContainerError", `failed to generate container "0f" spec: failed to generate spec: no command specified`, "neither ENTRYPOINT nor CMD"},
		{"CreateContainerError", `failed to create containerd container: mount callback failed on /var/lib/containerd/tmpmounts/containerd-mount1: no users found`, "does not know the user"},
		{"CreateContainerError", `failed to generate container "0f" spec: failed to generate spec: unable to find user app: no matching entries in passwd file`, "does not know the user"},

		// Starting it.
		{"StartError", during + `exec: "gunicorn": executable file not found in $PATH: unknown`, "no such program"},
		{"StartError", during + `exec: "/app/run": stat /app/run: no such file or directory: unknown`, "no such program"},
		{"StartError", during + `exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown`, "no shell"},
		{"StartError", during + `exec: "sh": executable file not found in $PATH: unknown`, "no shell"},
		{"StartError", during + `exec: "/app/start.sh": permission denied: unknown`, "chmod +x"},
		{"StartError", during + `exec: "/app": is a directory: unknown`, "chmod +x"},
		{"RunContainerError", during + `chdir to cwd ("/root/app") set in config.json failed: permission denied: unknown`, "WORKDIR"},
		{"StartError", during + `error mounting "/var/lib/kubelet/pods/0f/volumes/x" to rootfs at "/app/db.sqlite": create mountpoint for /app/db.sqlite mount: not a directory: Are you trying to mount a directory onto a file (or vice-versa)?: unknown`, "volumes"},
		{"StartError", runc + "container init was OOM-killed (memory limit too low?): unknown", "resources.memory"},
		{"StartError", during + "exec /app/server: exec format error: unknown", "build.platform"},

		// Finding a node.
		{"Unschedulable", "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.", "resources"},
		{"Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.", "disk is full"},
		{"Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/memory-pressure: }.", "memory"},
		{"Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.", "not ready"},
		{"Unschedulable", "0/2 nodes are available: 2 node(s) were unschedulable.", "berth scale"},
		{"Unschedulable", "0/2 nodes are available: 2 Too many pods.", "berth scale"},
		{"Unschedulable", "0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 Insufficient memory.", "its volume"},
		{"Unschedulable", `0/2 nodes are available: persistentvolumeclaim "shop-files" not found.`, "volume"},
		{"Unschedulable", "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "values"},
		{"Unschedulable", "no nodes available to schedule pods", "no node"},

		// Being taken away.
		{"Evicted", "The node was low on resource: ephemeral-storage. Threshold quantity: 4Gi, available: 3012Ki. Container web was using 8Gi, request is 0, has larger consumption of ephemeral-storage.", "volume"},
		{"Evicted", `Usage of EmptyDir volume "writable-0" exceeds the limit "256Mi". `, "256 MiB"},
		{"Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51Mi.", "resources"},
		{"OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu, requested: 500, used: 1900, capacity: 2000", "resources"},

		// Not being let in.
		{"FailedCreate", `pods "shop-5d8c" is forbidden: exceeded quota: compute, requested: requests.cpu=50m, used: requests.cpu=1, limited: requests.cpu=1`, "ResourceQuota"},
		{"FailedCreate", `pods "shop-5d8c" is forbidden: failed quota: compute: must specify limits.cpu for: web`, "ResourceQuota"},
		{"FailedCreate", `pods "shop-5d8c" is forbidden: maximum memory usage per Container is 256Mi, but limit is 512Mi`, "LimitRange"},
		{"FailedCreate", `admission webhook "validate.kyverno.svc-fail" denied the request: policy Deployment/shop for resource violation`, "cluster's own rules"},
		{"FailedCreate", `Internal error occurred: failed calling webhook "x.example": failed to call webhook: Post "https://x.kyverno.svc:443/validate?timeout=10s": no endpoints available for service "x"`, "webhook"},
		{"FailedCreate", `pods "shop-5d8c" is forbidden: error looking up service account staging/shop: serviceaccount "shop" not found`, "service account"},
		{"FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "shop-tls" not found`, "is not there"},
		{"FailedAttachVolume", `Multi-Attach error for volume "pvc-0f" Volume is already used by pod(s) shop-5d8c-x2x4z`, "one node at a time"},
		{"FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "0f": plugin type="bridge" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.118.1.2-10.118.1.254`, "node"},
	}
	for _, test := range tests {
		if got := (Reason{Reason: test.reason, Message: test.message}).hint(); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s\n  got  %q\n  want %q", test.reason, test.message, got, test.want)
		}
	}
}

func TestHintsOfLastWords(t *testing.T) {
	tests := []struct{ line, want string }{
		// A program that is not there, or may not run.
		{"/bin/sh: 1: gunicorn: not found", "no program gunicorn"},
		{"sh: 1: next: not found", "no program next"},
		{"/bin/sh: gunicorn: not found", "no program gunicorn"},
		{"bash: line 1: uvicorn: command not found", "no program uvicorn"},
		{"/app/entrypoint.sh: line 3: psql: command not found", "no program psql"},
		{"/bin/sh: 1: ./start.sh: Permission denied", "chmod +x"},
		{"exec /app/entrypoint.sh: no such file or directory", "line ends"},
		{`env: 'bash\r': No such file or directory`, "line ends"},
		{"/usr/bin/env: 'python3\r': No such file or directory", "line ends"},
		{"./bin/server: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by ./bin/server)", "Dockerfile"},
		{"error while loading shared libraries: libpq.so.5: cannot open shared object file: No such file or directory", "Dockerfile"},
		{"Error: LinkageError occurred while loading main class com.example.Main java.lang.UnsupportedClassVersionError: com/example/Main has been compiled by a more recent version of the Java Runtime", "Dockerfile"},

		// Memory.
		{"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "resources.memory"},
		{"java.lang.OutOfMemoryError: Java heap space", "resources.memory"},
		{"[2026-01-01 00:00:00 +0000] [1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", "resources.memory"},
		{"fatal error: runtime: out of memory", "resources.memory"},
		{"MemoryError", "resources.memory"},
		{"[FATAL] failed to allocate memory (NoMemoryError)", "resources.memory"},

		// Servers.
		{`connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused`, "localhost is the pod itself"},
		{"Error: connect ECONNREFUSED 127.0.0.1:6379", "localhost is the pod itself"},
		{"dial tcp [::1]:5432: connect: connection refused", "localhost is the pod itself"},
		{"redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.", "localhost is the pod itself"},
		{"Error: connect ECONNREFUSED 10.0.0.7:9200", "does not answer"},
		{"ReplyError: NOAUTH Authentication required.", "password"},
		{"Error: The server does not support SSL connections", "without TLS"},
		{"server does not support SSL, but SSL was required", "without TLS"},
		{"org.postgresql.util.PSQLException: The server does not support SSL.", "without TLS"},
		{`FATAL:  role "postgres" does not exist`, "PGUSER"},
		{`psycopg.OperationalError: connection failed: FATAL:  database "shop_production" does not exist`, "PGDATABASE"},
		{`ERROR:  extension "vector" is not available`, "extensions"},
		{`ERROR:  permission denied to create extension "postgis"`, "extensions"},
		{"SQLSTATE[42S02]: Base table or view not found", "release"},
		{"ActiveRecord::PendingMigrationError", "release"},
		{"The table `public.User` does not exist in the current database.", "release"},

		// Settings.
		{"error: Environment variable not found: DATABASE_URL.", "DATABASE_URL is not set"},
		{`Environment variable not found: "APP_SECRET".`, "APP_SECRET is not set"},
		{"django.core.exceptions.ImproperlyConfigured: Set the DJANGO_SECRET_KEY environment variable", "DJANGO_SECRET_KEY is not set"},
		{"django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.", "SECRET_KEY is not set"},
		{"decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a default value.", "SECRET_KEY is not set"},
		{`key not found: "SECRET_KEY_BASE" (KeyError)`, "SECRET_KEY_BASE is not set"},
		{"required key DATABASE_URL missing value", "DATABASE_URL is not set"},
		{"java.lang.IllegalArgumentException: Could not resolve placeholder 'JWT_SECRET' in value \"${JWT_SECRET}\"", "JWT_SECRET is not set"},
		{"** (RuntimeError) environment variable DATABASE_URL is missing.", "DATABASE_URL is not set"},
		{`** (System.EnvError) could not fetch environment variable "SECRET_KEY_BASE" because it is not set`, "SECRET_KEY_BASE is not set"},
		{"called `Result::unwrap()` on an `Err` value: NotPresent", "variable that is not set"},
		{"  Field required [type=missing, input_value={}, input_type=dict]", "variable that is not set"},
		{"Missing `secret_key_base` for 'production' environment, set this string with `bin/rails credentials:edit`", "RAILS_MASTER_KEY"},
		{"ActiveSupport::MessageEncryptor::InvalidMessage", "RAILS_MASTER_KEY"},
		{"RuntimeException: Unsupported cipher or incorrect key length. Supported ciphers are: aes-128-cbc, aes-256-cbc.", "php artisan key:generate --show"},
		{"RuntimeException: No application encryption key has been specified.", "php artisan key:generate --show"},

		{"GET /items/SECRET not found", ""},
		{"the key of the item is missing", ""},
		{"listening on localhost:8000", ""},
	}
	for _, test := range tests {
		got := Reason{Log: []string{"starting", test.line}, Reason: crashLoop}.hint()
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%q:\n  got  %q\n  want %q", test.line, got, test.want)
		}
	}
	for code, want := range map[int32]string{0: "exits by itself", 1: "", 126: "chmod +x", 127: "no such program", 132: "processor", 137: "resources.memory", 159: "system call"} {
		got := Reason{Reason: crashLoop, ExitCode: &code, Log: []string{"(it wrote nothing)"}}.hint()
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("exit code %d: got %q, want %q", code, got, want)
		}
	}
}

func TestTracebacksOfMoreLanguages(t *testing.T) {
	tests := []struct{ name, log, first, last string }{
		{".NET", "info: starting\nUnhandled exception. System.InvalidOperationException: no settings\n ---> System.IO.IOException: x\n   at Shop.Settings.Read() in /src/Settings.cs:line 12\n   --- End of inner exception stack trace ---\n   at Program.<Main>$(String[] args) in /src/Program.cs:line 5\n" + many(30),
			"Unhandled exception.", "Program.cs:line 5"},
		{".NET, by its logger", "fail: Microsoft.Extensions.Hosting.Internal.Host[11]\n      Hosting failed to start\n      System.IO.IOException: Failed to bind to address http://[::]:80: address already in use.\n         at Microsoft.AspNetCore.Server.Kestrel.Core.Internal.AddressBinder.Bind()\n" + many(30),
			"Host[11]", "AddressBinder.Bind()"},
		{"Elixir", "** (RuntimeError) environment variable DATABASE_URL is missing.\nFor example: ecto://USER:PASS@HOST/DATABASE\n\n    /app/releases/0.1.0/runtime.exs:29: (file)\n    (stdlib 6.2) erl_eval.erl:919: :erl_eval.do_apply/7\n" + many(30),
			"** (RuntimeError)", "erl_eval.do_apply/7"},
		{"Rust", "starting\n\nthread 'main' (7) panicked at src/main.rs:4:36:\ncalled `Result::unwrap()` on an `Err` value: NotPresent\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n" + many(30),
			"panicked at", "RUST_BACKTRACE=1"},
		{"Puma", "Puma starting in single mode...\n! Unable to load application: NameError: uninitialized constant Shop\nconfig.ru:3:in '<main>': uninitialized constant Shop (NameError)\n\tfrom /usr/local/bundle/gems/rack-3.1/lib/rack/builder.rb:108:in 'Rack::Builder.new_from_string'\n" + many(30),
			"config.ru:3", "builder.rb:108"},
		{"Spring Boot", "2026-01-01T00:00:00.000Z ERROR 1 --- [shop] [main] o.s.boot.SpringApplication : Application run failed\n\norg.springframework.beans.factory.BeanCreationException: Error creating bean\n\tat org.springframework.A.b(A.java:1) ~[spring-beans-6.2.jar!/:6.2]\nCaused by: org.postgresql.util.PSQLException: refused\n\tat org.postgresql.C.d(C.java:2)\n\t... 40 common frames omitted\n" + many(30),
			"org.springframework.beans", "common frames omitted"},
		{"Node with a cause", "/app/dist/main.js:12\n    throw new Error('no settings', { cause });\n    ^\n\nError: no settings\n    at Object.<anonymous> (/app/dist/main.js:12:11)\n    ... 3 lines matching cause stack trace ...\n    at node:internal/main/run_main_module:28:49 {\n  [cause]: Error: ENOENT: no such file or directory, open '/app/x.json'\n      at readFileSync (node:fs:440:20) {\n    errno: -2,\n    code: 'ENOENT'\n  }\n}\n\nNode.js v22.11.0\n",
			"/app/dist/main.js:12", "Node.js v22.11.0"},
		{"PHP", "PHP Fatal error:  Uncaught RuntimeException: no settings in /app/index.php:3\nStack trace:\n#0 /app/x.php(12): read()\n#1 {main}\n  thrown in /app/index.php on line 3\n" + many(30),
			"PHP Fatal error", "thrown in"},
		{"Go, recovered", "panic: no settings [recovered]\n\tpanic: no settings\n\ngoroutine 1 [running]:\nmain.main.func1()\n\t/src/main.go:9 +0x1d\npanic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:785 +0x132\ngithub.com/me/shop/internal/settings.Read(...)\n\t/src/settings.go:3\nexit status 2\n" + many(30),
			"panic: no settings", "/src/settings.go:3"},
	}
	for _, test := range tests {
		lines := strings.Split(strings.TrimSuffix(test.log, "\n"), "\n")
		begin, end := traceback(lines)
		if begin < 0 {
			t.Errorf("%s: no traceback was found", test.name)
			continue
		}
		if !strings.Contains(lines[begin], test.first) || !strings.Contains(lines[end-1], test.last) {
			t.Errorf("%s: from %q to %q, want from %q to %q", test.name, lines[begin], lines[end-1], test.first, test.last)
		}
	}
}

// A pod that waits for a volume or its network says only ContainerCreating: the
// events about it say why.
func TestAPodThatCannotBeMade(t *testing.T) {
	began := time.Now()
	for _, test := range []struct {
		name, reason, message string
		// from is when the rollout ends; 0 for not within three minutes.
		from time.Duration
	}{
		{"no such Secret", "FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "shop-tls" not found`, 30 * time.Second},
		{"a volume that another node has", "FailedAttachVolume", `Multi-Attach error for volume "pvc-0f" Volume is already used by pod(s) shop-r1-a`, 0},
		{"no address left", "FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = no IP addresses available`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scene()
			pod := s.pod("shop-r2-a")
			pod.CreationTimestamp = metav1.NewTime(began)
			pod.Status = core.PodStatus{Phase: core.PodPending, ContainerStatuses: []core.ContainerStatus{{Name: "web",
				State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}}}}}
			s.events = []core.Event{{Reason: test.reason, Type: "Warning", Message: test.message, LastTimestamp: metav1.NewTime(began),
				InvolvedObject: core.ObjectReference{Kind: "Pod", Name: pod.Name, UID: pod.UID}}}
			ws := []Workload{{"Deployment", "shop"}}
			g := grace{started: began, first: map[string]time.Time{}}
			var ended time.Duration
			for at := time.Duration(0); at < 3*time.Minute && ended == 0; at += time.Second {
				if len(g.lost(s, ws, began.Add(at))) > 0 {
					ended = at
				}
			}
			if ended != test.from {
				t.Errorf("the rollout ended after %s, want %s", ended, test.from)
			}
			reasons := s.late(ws[0])
			if got := (&Error{reasons}).Error(); got != "pod shop-r2-a: "+test.reason+": "+test.message {
				t.Errorf("when time is out: %q", got)
			}
			if len(s.warnings(ws, reasons, began)) != 0 {
				t.Error("the event is told twice")
			}
		})
	}
}

// A node that ran out of something puts one pod away, and another takes its place:
// that is no fault of the revision until it happens again.
func TestAnEvictedPodIsReplaced(t *testing.T) {
	began := time.Now()
	g := grace{started: began, first: map[string]time.Time{}}
	s := scene()
	ws := []Workload{{"Deployment", "shop"}}
	evict := func(name string) {
		pod := s.add(name, "rs2")
		pod.Status = core.PodStatus{Phase: core.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}
	}
	s.pod("shop-r2-a").Status.Conditions = nil
	evict("shop-r2-c")
	if reasons := g.lost(s, ws, began.Add(time.Second)); len(reasons) != 0 {
		t.Errorf("one eviction ended the rollout: %v", &Error{reasons})
	}
	s.pod("shop-r2-a").Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}
	if missing := s.Missing(ws[0]); missing != "" {
		t.Errorf("the pod that is gone is waited for: %s", missing)
	}
	s.pod("shop-r2-a").Status.Conditions = nil
	evict("shop-r2-d")
	if reasons := g.lost(s, ws, began.Add(2*time.Second)); len(reasons) == 0 {
		t.Error("two evictions did not end the rollout")
	}
}

func TestMoreProbesThatFail(t *testing.T) {
	const get = `Get "http://10.118.1.5:8000/": `
	for message, want := range map[string]string{
		"HTTP probe failed with statuscode: 400": "may expect TLS",
		"HTTP probe failed with statuscode: 403": "host",
		"HTTP probe failed with statuscode: 421": "answers 421",
		"HTTP probe failed with statuscode: 426": "answers 426",
		get + `net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"`: "HTTP/2",
		get + `net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-Go"`:                                                "answers no HTTP",
		get + "dial tcp 10.118.1.5:8000: connect: no route to host":                                                                                 "does not answer",
		get + "read tcp 10.118.0.1:4->10.118.1.5:8000: read: connection reset by peer":                                                              "no HTTP",
		get + "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)":                            "does not answer in time",
		`Get "https://shop.example/": tls: failed to verify certificate: x509: certificate is valid for x, not 10.118.1.5`:                          "redirects to https",
	} {
		v := judge("Startup probe failed: "+message, "HTTP")
		if got := v.what + "; " + v.hint; !strings.Contains(got, want) {
			t.Errorf("%s:\n  got %q, want %q", message, got, want)
		}
	}
}
