//go:build e2e

// Package e2e tests berth against the real thing: it builds the command, lets
// it bring up Kubernetes on this machine, and does to the cluster what users,
// operators and accidents do, mostly while requests go on through NGINX.
//
// It takes root, the ports of berth.yaml and a machine on which no cluster of
// berth is running. Everything it makes is below one folder of its own and is
// gone at the end.
//
//	go test -tags e2e -v ./e2e                     all, in the order of the steps
//	go test -tags e2e -v ./e2e -keep               leave the cluster, or go on with the one that was left
//	go test -tags e2e -v ./e2e -keep -run /Deploy  one step
package e2e

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var keep = flag.Bool("keep", false, "leave the cluster running at the end, and go on with one that was left")

// usualDeploys is what CI has time for.
const usualDeploys = 4

var deploys = flag.Int("deploys", usualDeploys, "how many deploys Images, Ingress and Together make; of Together's a quarter fails in each of two ways; with more, Alerts breaks more, DownAndUp is interrupted more often, and Size, WholeServer, Upgrade, Judge, Preview and Rehearse run at all")

// home is where the tests' own cluster lives. Its path is short, as sockets are
// below it, and not random, so that a run can clear up after one that was
// killed. It is not below /tmp, which may be in memory.
const home = "/var/tmp/berth-e2e"

// steps are what is tested, on one cluster in this order.
var steps = []struct {
	name string
	run  func(*testing.T)
}{
	{"InterruptedFirstUp", testInterruptedFirstUp},
	{"Up", testUp},
	{"RealWorld", testRealWorld},
	{"Deploy", testDeploy},
	{"FailedDeploy", testFailedDeploy},
	{"InterruptedDeploy", testInterruptedDeploy},
	{"SecondApplication", testSecondApplication},
	{"Trouble", testTrouble},
	{"Ingress", testIngress},
	{"Sessions", testSessions},
	{"FirstDeploysAtOnce", testFirstDeploysAtOnce},
	{"Images", testImages},
	{"Pods", testPods},
	{"Autoscaling", testAutoscaling},
	{"Scale", testScale},
	{"NodeRemoval", testNodeRemoval},
	{"Size", testSize},
	{"Backups", testBackups},
	{"Moment", testMoment},
	{"WholeServer", testWholeServer},
	{"Upgrade", testUpgrade},
	{"Logs", testLogs},
	{"Dashboard", testDashboard},
	{"Alerts", testAlerts},
	{"Healing", testHealing},
	{"Policies", testPolicies},
	{"Security", testSecurity},
	{"Existing", testExisting},
	{"DownAndUp", testDownAndUp},
	{"PowerFailure", testPowerFailure},
	{"DigitalOcean", testDigitalOcean},
	// Last, as what they deploy goes on running.
	{"Applications", testApplications},
	{"Judge", testJudge},
	{"Metrics", testMetrics},
	{"Preview", testPreview},
	{"Rehearse", testRehearse},
	{"Together", testTogether},
	{"Purge", testPurge},
}

// soaking are the steps that CI has no time for: those of make soak.
var soaking = []string{"Size", "WholeServer", "Upgrade", "Judge", "Metrics", "Preview", "Rehearse"}

func TestBerth(t *testing.T) {
	for i, step := range steps {
		if *deploys <= usualDeploys && slices.Contains(soaking, step.name) {
			continue
		}
		ok := t.Run(step.name, func(t *testing.T) {
			began := time.Now()
			t.Cleanup(func() {
				if t.Failed() {
					explain(t)
				}
				t.Logf("step took %s", time.Since(began).Round(time.Second))
			})
			step.run(t)
		})
		if !ok && i == 0 {
			t.Fatal("nothing else can be tested")
		}
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetFlags(0)
	status, err := testAll(m)
	if err != nil {
		log.Print("e2e: ", err)
		status = 1
	}
	os.Exit(status)
}

func testAll(m *testing.M) (status int, err error) {
	if os.Geteuid() != 0 {
		return 1, fmt.Errorf("a real cluster takes root: sudo make e2e")
	}
	left := exists(filepath.Join(home, "state"))
	if left && !*keep {
		log.Print("e2e: clearing up after a run that did not end")
		if err := clearUp(); err != nil {
			return 1, err
		}
		left = false
	}
	if !left {
		if err := checkAlone(); err != nil {
			return 1, err
		}
		if err := recordMachine(); err != nil {
			return 1, err
		}
		if err := linkCache(); err != nil {
			return 1, err
		}
	}
	if err := build(); err != nil {
		return 1, err
	}
	status = m.Run()
	if *keep {
		log.Print("e2e: the cluster is left as it is; without -keep the next run removes it")
		return status, nil
	}
	return status, clearUp()
}

// checkAlone refuses to run beside another cluster of berth.
func checkAlone() error {
	for _, address := range []string{httpAddress, httpsAddress, "127.0.0.1:20379"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("something listens on %s; where that is a cluster of berth, stop it: make down", address)
		}
		listener.Close()
	}
	return nil
}

// linkCache takes over what berth has compiled and downloaded on this machine
// before, so that this run need not. These files are only ever replaced, never
// written to, so links do. Images are built again.
func linkCache() error {
	if err := os.MkdirAll(filepath.Join(home, "cache", "berth"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"kube", "packages", "bases", "tofu"} {
		from := filepath.Join("/var/cache/berth", name)
		if !exists(from) {
			continue
		}
		to := filepath.Join(home, "cache", "berth")
		if exec.Command("cp", "--archive", "--link", from, to).Run() != nil { // another file system
			if output, err := exec.Command("cp", "--archive", from, to).CombinedOutput(); err != nil {
				return fmt.Errorf("take over %s: %w: %s", from, err, output)
			}
		}
	}
	return nil
}

// build compiles berth as the Makefile does.
func build() error {
	for _, arguments := range [][]string{
		{"run", "./internal/source/pack"},
		{"build", "-ldflags", "-s -w", "-o", program, "./cmd/berth"},
	} {
		command := exec.Command("go", arguments...)
		command.Dir = root
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build berth: %w: %s", err, output)
		}
	}
	return nil
}

// clearUp removes the cluster and the folder.
func clearUp() error {
	if exists(program) {
		command := berthCommand("down", "--purge")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("berth down --purge: %w: %s", err, output)
		}
	}
	return os.RemoveAll(home)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
