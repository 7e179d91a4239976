package digitalocean

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/config"
	"berth/internal/fakedo/fake"
	"berth/internal/provider"
	"berth/internal/provider/digitalocean/scope"
)

// gate stands before the account. It counts the requests that change something,
// and calls on one of them after it had its effect and before it is answered.
type gate struct {
	*httptest.Server

	mu      sync.Mutex
	changes []string
	at      int // 0 never calls
	call    func()
}

func startGate(t *testing.T, do *fake.Server) *gate {
	g := &gate{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || isTrial(r) {
			do.ServeHTTP(w, r)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.changes = append(g.changes, r.Method+" "+r.URL.Path)
		if g.at == 0 || len(g.changes) != g.at {
			do.ServeHTTP(w, r)
			return
		}
		do.ServeHTTP(httptest.NewRecorder(), r)
		g.call()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(g.Close)
	return g
}

// isTrial reports whether a request only tries what the token may do.
func isTrial(r *http.Request) bool {
	return r.ContentLength == int64(len(scope.Body)) || strings.HasPrefix(r.URL.Path, "/v2/") && strings.Contains(r.URL.Path, scope.Nobody)
}

// arm has the gate call when the n-th change from now has been made.
func (g *gate) arm(n int, call func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes, g.at, g.call = nil, n, call
}

// made are the changes since the gate was armed.
func (g *gate) made() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changes
}

// victimFile names the variable with which the test's own program runs a
// command to be killed.
const victimFile = "BERTH_TEST_VICTIM"

// order is what a victim does.
type order struct {
	Config  config.Config
	Command string
}

func victim(file string) (status int) {
	text, err := os.ReadFile(file)
	var o order
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err == nil {
		var p *Provider
		if p, err = New(&o.Config); err == nil {
			p.pause = 5 * time.Millisecond
			err = perform(context.Background(), p, o.Command, &journal{})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func perform(ctx context.Context, p *Provider, command string, said *journal) error {
	switch command {
	case "init":
		return p.Init(ctx, said)
	case "scale the count up":
		return p.Scale(ctx, provider.Scale{Nodes: 3}, said)
	case "scale the count down":
		return p.Scale(ctx, provider.Scale{Nodes: 1}, said)
	case "scale the size":
		return p.Scale(ctx, provider.Scale{Size: "s-4vcpu-8gb"}, said)
	case "destroy":
		_, err := p.Destroy(ctx, said)
		return err
	}
	return fmt.Errorf("there is no command %q", command)
}

// sacrifice runs a command in a process of its own, which is killed when it has
// made its n-th change. It returns false when there were fewer.
func (w *world) sacrifice(t *testing.T, command string, n int) (killed bool) {
	t.Helper()
	text, err := json.Marshal(order{*w.config, command})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(program)
	process.Env = append(os.Environ(), victimFile+"="+file)
	var said strings.Builder
	process.Stdout, process.Stderr = &said, &said
	w.gate.arm(n, func() {
		killed = true
		process.Process.Kill()
	})
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	err = process.Wait()
	reap(t)
	if err != nil && !killed {
		t.Fatalf("%s: %v\n%s", command, err, said.String())
	}
	w.gate.arm(0, nil)
	return killed
}

// reap ends the plugins that a killed Terraform has left: they become children
// of this process, which is their reaper.
func reap(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := orphanedChildren()
		for _, pid := range left {
			unix.Kill(pid, unix.SIGKILL)
			unix.Wait4(pid, nil, 0, nil)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a killed command leaves processes")
		}
	}
}

// orphanedChildren are the children of this process that run Terraform or its
// plugin.
func orphanedChildren() (pids []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		name, rest, ok := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		if strings.Contains(name, "terraform") || strings.Contains(name, "tofu") {
			if pid, err := strconv.Atoi(name[:strings.IndexByte(name, ' ')]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// Killed after each request that changes something, every command finishes when
// it is run again, and nothing is there twice or too much.
func TestKilledAtEachStep(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command string
		before  func(t *testing.T, w *world) // what was there
		check   func(t *testing.T, w *world)
	}{
		{"init", func(*testing.T, *world) {}, func(t *testing.T, w *world) { w.wantOne(t, "s-2vcpu-4gb", 2) }},
		{"scale the count up", initialized, func(t *testing.T, w *world) { w.wantOne(t, "s-2vcpu-4gb", 3) }},
		{"scale the count down", initialized, func(t *testing.T, w *world) { w.wantOne(t, "s-2vcpu-4gb", 1) }},
		{"scale the size", initialized, func(t *testing.T, w *world) { w.wantOne(t, "s-4vcpu-8gb", 2) }},
		{"destroy", func(t *testing.T, w *world) {
			initialized(t, w)
			w.makeOrphans(t, w.shop(t).ID)
		}, func(t *testing.T, w *world) { w.wantGone(t) }},
	} {
		t.Run(c.command, func(t *testing.T) {
			for n := 1; ; n++ {
				w := start(t)
				c.before(t, w)
				if !w.sacrifice(t, c.command, n) {
					if n == 1 {
						t.Error("it changed nothing")
					}
					t.Logf("%s was killed after each of its %d changes", c.command, n-1)
					c.check(t, w)
					break
				}
				changes := w.gate.made()
				if err := perform(t.Context(), w.Provider, c.command, w.said); err != nil {
					t.Fatalf("after it was killed by change %d: %v\n%s", n, err, w.said)
				}
				c.check(t, w)
				if t.Failed() {
					t.Fatalf("when killed by change %d %v\n%s", n, changes, w.said)
				}
			}
		})
	}
}

// snapshot is a world after init, which many tests begin with.
type snapshot struct {
	account []byte // JSON
	folder  string
	config  config.Config
	secrets map[string]map[string]string
}

var snapshots = map[string]*snapshot{}

// initialized brings a world to where init has left one before.
func initialized(t *testing.T, w *world) {
	t.Helper()
	w.initializedAs(t, "plain")
}

// initializedAs does so for worlds that are configured alike, as a name says.
func (w *world) initializedAs(t *testing.T, name string) {
	t.Helper()
	if prepared := snapshots[name]; prepared == nil {
		snapshots[name] = prepare(t, w, name)
	} else {
		w.config.DigitalOcean.Bucket = prepared.config.DigitalOcean.Bucket
		for _, name := range []string{config.SpacesAccessKey, config.SpacesSecretKey} {
			w.config.DotEnv[name] = prepared.config.DotEnv[name]
		}
		if err := w.do.Change(func(a *fake.Account) {
			*a = fake.Account{}
			if err := json.Unmarshal(prepared.account, a); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		copyFolder(t, prepared.folder, w.folder())
		w.kube.secrets = maps.Clone(prepared.secrets)
	}
	w.kube.deploy()
}

func prepare(t *testing.T, w *world, name string) *snapshot {
	t.Helper()
	w.mustInit(t)
	account, err := json.Marshal(w.account(t))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(sharedFolder, "initialized", name)
	copyFolder(t, w.folder(), folder)
	return &snapshot{account, folder, *w.config, maps.Clone(w.kube.secrets)}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// wantOne checks that there is one of everything, with these nodes, and nothing
// left to do.
func (w *world) wantOne(t *testing.T, size string, nodes int) {
	t.Helper()
	w.wantShop(t, w.shop(t).ID, size, nodes)
	w.wantNoChange(t)
	counts := map[string]int{}
	account := w.account(t)
	for _, c := range account.Clusters {
		counts["cluster "+c.Name]++
	}
	for _, v := range account.VPCs {
		if !v.Default {
			counts["network "+v.Name]++
		}
	}
	for _, k := range account.SpacesKeys {
		counts["key "+k.Name]++
	}
	for _, p := range account.Projects {
		counts["project "+p.Name]++
	}
	for what, count := range counts {
		if count != 1 {
			t.Errorf("there are %d of %s", count, what)
		}
	}
	if w.kube.secrets[keySecret]["secretKey"] == "" {
		t.Error("the cluster has no key for its Space")
	}
}
