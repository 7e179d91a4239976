//go:build e2e

package e2e

import (
	"errors"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What was stopped, and started with interruptions, has its data.
func testDownAndUp(t *testing.T) {
	running(t)
	sites := map[string]*site{}
	slugs := map[string]string{}
	writers := map[string]string{}
	for _, host := range []string{production, staging} {
		writers[host] = unique("keeper")
		sites[host] = newSite(t, host).as(t, writers[host])
		slugs[host] = sites[host].write(t, unique("kept"))
	}
	down := mustBerth(t, "down")
	t.Logf("down took %s", down.took)
	isStopped(t)
	mustBerth(t, "down") // again, with nothing to do
	up := mustBerth(t, "up")
	t.Logf("up after down took %s", up.took)
	for host, s := range sites {
		s.holds(t, slugs[host])
	}

	// As systemd does when the machine stops and starts: nothing is built, and no
	// berth.yaml is read.
	mustBerth(t, "halt")
	isStopped(t)
	mustBerth(t, "boot")
	mustBerth(t, "boot") // which berth up has systemd do beside it
	for host, s := range sites {
		took := waitFor(t, host+" to serve after boot", 3*time.Minute, func() error { return try(s, "GET", "/api/tags", nil) })
		t.Logf("%s served %s after boot", host, took)
		s.holds(t, slugs[host])
	}

	// Interrupted at any of its moments, the next one goes on from there.
	mustBerth(t, "down")
	type moment struct {
		said   string
		signal syscall.Signal
	}
	moments := []moment{
		{"• Start the control plane", syscall.SIGINT},
		{"• Bring up 1 node", syscall.SIGKILL},
	}
	if *deploys > usualDeploys {
		moments = append(moments, moment{"• Install the ingress controller", syscall.SIGINT},
			moment{"• Start the control plane", syscall.SIGKILL}, moment{"• Bring up 1 node", syscall.SIGINT})
	}
	for _, moment := range moments {
		o := interrupt(t, moment.said, moment.signal, "up")
		if moment.signal == syscall.SIGINT && o.status != 0 {
			o.wants(t, 1, "interrupted")
		}
	}
	waitUnlocked(t, "up")

	// So does a down.
	interrupt(t, "• Stop the pods", syscall.SIGKILL, "down")
	interrupt(t, "• Stop the cluster", syscall.SIGINT, "down")
	mustBerth(t, "down")
	isStopped(t)
	mustBerth(t, "up")
	for host, s := range sites {
		s.holds(t, slugs[host])
		s.call(t, "POST", "/api/users/login", object{"user": object{
			"email": writers[host] + "@example.com", "password": "a password of " + writers[host],
		}}, nil)
	}
}

// As in a power failure, everything ends at once and in no order. (A reboot
// takes the mounts and addresses along; here they stay and are in the way.)
func testPowerFailure(t *testing.T) {
	running(t)
	sites := map[string]*site{}
	slugs := map[string]string{}
	for _, host := range []string{production, staging} {
		sites[host] = newSite(t, host).as(t, unique("survivor"))
		slugs[host] = sites[host].write(t, unique("survived"))
	}
	// The supervisors first: they would start the others again.
	for _, name := range []string{"supervisor-standby", "supervisor"} {
		pid, err := partPID(name)
		if err != nil {
			t.Fatal(err)
		}
		kill(t, pid)
	}
	pids, err := clusterProcesses()
	if err != nil {
		t.Fatal(err)
	}
	for pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	if len(pids) < 20 {
		t.Errorf("killed only %d processes", len(pids))
	}
	up := mustBerth(t, "up")
	t.Logf("up after %d processes were killed took %s", len(pids), up.took)
	for host, s := range sites {
		s.holds(t, slugs[host])
	}
}

// interrupt begins a command and ends it by a signal a moment after it has said
// something. A command that was quicker is done.
func interrupt(t *testing.T, said string, signal syscall.Signal, args ...string) outcome {
	t.Helper()
	o := begin(t, args...)
	o.until(said)
	time.Sleep(500 * time.Millisecond)
	o.signal(signal)
	return o.end()
}

// isStopped checks what a stopped cluster leaves on the machine: its files.
func isStopped(t *testing.T) {
	t.Helper()
	leftovers(t, func(change string) bool {
		return strings.Contains(change, "file ") || strings.Contains(change, "listener")
	})
}

// others are changes that somebody else on this machine makes: mounts of image
// builds and listeners of tests. Nothing of a cluster is there.
var others = regexp.MustCompile(`^(new|gone): (mount /tmp/|listener 127\.)`)

// leftovers compares this machine with how it was before the first up.
func leftovers(t *testing.T, tolerated func(change string) bool) {
	t.Helper()
	then, err := recordedMachine()
	if err != nil {
		t.Fatal(err)
	}
	now, err := lookAtMachine()
	if err != nil {
		t.Fatal(err)
	}
	changes := then.changes(now)
	for _, change := range changes {
		if !tolerated(change) && !others.MatchString(change) {
			t.Errorf("%s", change)
		}
	}
	t.Logf("compared %d facts about this machine, %d changed", len(now), len(changes))
}

// The last step takes everything away.
func testPurge(t *testing.T) {
	running(t)
	mustBerth(t, "down", "--purge")
	leftovers(t, func(string) bool { return false })
	if err := checkAlone(); err != nil {
		t.Error(err)
	}
	for _, folder := range []string{home + "/state/berth", home + "/cache/berth"} {
		if exists(folder) {
			t.Errorf("%s is left", folder)
		}
	}
	berth(t, "status").wants(t, 1, "berth up")
	mustBerth(t, "down", "--purge") // again, with nothing to do
}
