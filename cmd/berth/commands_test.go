package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/provider"
	"berth/internal/release"
	"berth/internal/rollout"
)

func TestUpMakesTheClusterAndDeploysInOrder(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "up")
	if got.status != succeeded {
		t.Fatalf("%+v", got)
	}
	// The image is built beside the cluster; what comes after both is in order.
	if i, j := slices.Index(w.calls, "init"), slices.Index(w.calls, "install"); i < 0 || j < i {
		t.Errorf("called %v", w.calls)
	}
	w.calls = slices.DeleteFunc(w.calls, func(c string) bool { return c == "publish" })
	w.wantCalls(t, "init", "install", "deploy staging local/tiny:1", "deploy production local/tiny:1",
		"reach staging.tiny.localhost tiny.localhost/up", "bucket", "install log agent local/collector:1 with the bucket")
	if want := `
ENVIRONMENT  ADDRESS
staging      https://staging.tiny.localhost:8443
production   https://tiny.localhost:8443

Try it:
  curl --cacert /state/ca.crt https://tiny.localhost:8443/up

Trust its certificates on this machine (Debian, Ubuntu), once:
  sudo cp /state/ca.crt /usr/local/share/ca-certificates/berth.crt && sudo update-ca-certificates
`; got.out != want {
		t.Errorf("stdout is %s", got.out)
	}
}

// Who is not root is asked for it before anything is done, and never by what
// changes nothing.
func TestRootIsAskedForFirst(t *testing.T) {
	for _, command := range []string{"up", "down", "deploy staging", "status"} {
		w := newWorld()
		w.rooted = true
		if got := w.berth(t, strings.Fields(command)...); got.status != failed {
			t.Errorf("%s: %+v", command, got)
		}
		w.wantCalls(t, "sudo "+command)
	}
	w := newWorld()
	w.rooted = true
	if got := w.berth(t, "doctor"); got.status != succeeded || len(w.calls) != 0 {
		t.Errorf("doctor: %+v, called %v", got, w.calls)
	}
}

func TestUpNeverTakesToProductionWhatFailsInStaging(t *testing.T) {
	w := newWorld()
	w.fail["deploy staging local/tiny:1"] = errors.New("it crashed")
	got := w.berth(t, "up")
	if got.status != failed || !strings.Contains(got.errors, "error: it crashed") {
		t.Errorf("%+v", got)
	}
	if slices.ContainsFunc(w.calls, func(c string) bool { return strings.HasPrefix(c, "deploy production") }) {
		t.Errorf("called %v", w.calls)
	}
}

func TestUpBuildsNothingOnAMachineThatIsNotFit(t *testing.T) {
	w := newWorld()
	w.checks = []provider.Check{{Name: "root", Problem: "missing"}}
	w.fail["init"] = errors.New("this machine is not ready")
	if got := w.berth(t, "up"); got.status != failed {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t, "init")
}

func TestUpOfAHostThatNoResolverKnows(t *testing.T) {
	w := newWorld()
	if got := resolve(w.cluster, "tiny.test"); got != "--resolve tiny.test:8443:127.0.0.1 " {
		t.Errorf("got %q", got)
	}
	if got := resolve(w.cluster, "tiny.localhost"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestInitDeploysNothing(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "init")
	w.wantCalls(t, "init", "install", "bucket", "publish", "install log agent local/collector:1 with the bucket")
	if got.status != succeeded || !strings.Contains(got.out, "kubectl --kubeconfig /state/admin.yaml --context local") {
		t.Errorf("%+v", got)
	}
}

func TestDown(t *testing.T) {
	w := newWorld()
	if got := w.berth(t, "down"); got.status != succeeded {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t, "stop")
	w = newWorld()
	got := w.berth(t, "down", "--purge")
	w.wantCalls(t, "purge")
	if got.status != succeeded || got.out != "Kept:\n  the packages\n" {
		t.Errorf("%+v", got)
	}
}

func TestDeployBuildsNothingWhileSomebodyIsAtWork(t *testing.T) {
	w := newWorld()
	w.fail["free"] = fmt.Errorf("bob@desk has been at work here: %w", kube.ErrLocked)
	w.berth(t, "deploy", "staging").wants(t, 1, "bob@desk has been at work here")
	w.wantCalls(t)
}

func TestDeployBuildsUnlessAnImageIsGiven(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "deploy", "staging")
	w.wantCalls(t, "publish", "deploy staging local/tiny:1")
	if !slices.Equal(w.followed, []string{"staging"}) {
		t.Errorf("the log agent reads %v", w.followed)
	}
	if want := "staging serves revision 2: https://staging.tiny.localhost:8443\n"; got.out != want {
		t.Errorf("stdout is %s", got.out)
	}
	if want := " • Deploy staging\n ✓ Deploy staging\n"; got.errors != want {
		t.Errorf("stderr is %s", got.errors)
	}

	w = newWorld()
	got = w.berth(t, "deploy", "staging", "--image", "ghcr.io/me/tiny:2", "--json")
	w.wantCalls(t, "deploy staging ghcr.io/me/tiny:2")
	var revision map[string]any
	if err := json.Unmarshal([]byte(got.out), &revision); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"environment": "staging", "address": "https://staging.tiny.localhost:8443", "revision": 2.0, "image": "ghcr.io/me/tiny:2",
	} {
		if revision[key] != want {
			t.Errorf("%s is %v, want %v", key, revision[key], want)
		}
	}
}

func TestDeployOfWhatAnotherEnvironmentHasServed(t *testing.T) {
	w := newWorld()
	w.berth(t, "deploy", "production", "--from", "staging", "--forward").wants(t, succeeded, "production serves revision 2")
	w.wantCalls(t, "promotable of staging", "deploy forward production ghcr.io/me/tiny@sha256:0a")

	w = newWorld()
	w.fail["promotable of staging"] = errors.New("staging has never served commit abc")
	w.berth(t, "deploy", "production", "--from", "staging").wants(t, failed, "staging has never served commit abc")
	w.wantCalls(t, "promotable of staging")

	w = newWorld()
	w.berth(t, "deploy", "production", "--from", "moon").wants(t, misused, `there is no environment "moon"`)
	w.berth(t, "deploy", "production", "--from", "staging", "--image", "x").wants(t, misused, "which one?")
	w.wantCalls(t)
}

// A fork has no credentials, and its checks are green all the same.
func TestDeploySkipsWhatIsNotConfigured(t *testing.T) {
	const here = "Skipped: staging is not deployed: the provider local is the machine that it runs on.\n"
	w := newWorld()
	w.rooted = true
	if got := w.berth(t, "deploy", "staging", "--skip-unconfigured"); got.status != succeeded || got.out != here {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t)
	for what, project := range map[string]string{
		"DigitalOcean without a token":     cloudy,
		"a cluster without its kubeconfig": tiny + "\nprovider: existing\nexisting: {context: prod, kubeconfig: nowhere.yaml, ingressClass: nginx, registry: ghcr.io/me}\n",
	} {
		w := newWorld()
		w.project = project
		parts := w.parts()
		parts.provider = openProvider
		got := w.berthWith(t, parts, "deploy", "staging", "--skip-unconfigured")
		if got.status != succeeded || !strings.HasPrefix(got.out, "Skipped: staging is not deployed: there are no credentials: ") {
			t.Errorf("%s: %+v", what, got)
		}
		if got := w.berthWith(t, parts, "deploy", "staging"); got.status != misused {
			t.Errorf("%s, asked for: %+v", what, got)
		}
	}
}

// With credentials, what is wrong is wrong.
func TestDeploySkipsNoClusterThatIsNotUp(t *testing.T) {
	w := newWorld()
	w.cluster = nil
	w.inCloud(t, nil, "deploy", "staging", "--skip-unconfigured").wants(t, failed, "the cluster is not up")
}

func TestAFailedDeployTellsWhy(t *testing.T) {
	lost := &release.Failed{
		Environment: "staging", Revision: 7, Image: "bad", To: 6, Back: 8,
		Cause: errors.New("pod tiny-1: CrashLoopBackOff \x1b[31m"), Events: []string{"pod tiny-1: BackOff"},
	}
	w := newWorld()
	w.fail["deploy staging bad"] = lost
	got := w.berth(t, "deploy", "staging", "--image", "bad", "--json")
	if got.status != failed || !strings.Contains(got.out, `"revision": 7`) || !strings.Contains(got.out, `"now": "revision 6 serves again`) {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"pod tiny-1: BackOff", "\nerror: revision 7 of staging failed"} {
		if !strings.Contains(got.errors, want) {
			t.Errorf("%q is missing in\n%s", want, got.errors)
		}
	}
	if strings.Contains(got.errors, "\x1b") {
		t.Error("the pod's words reached the terminal as they were")
	}
}

// The hint names the key of berth.yaml, however the error is wrapped on its way:
// giving back the lock joins it with what that met.
func TestAFailedDeployTellsTheKeyThatHelps(t *testing.T) {
	lost := &release.Failed{
		Environment: "staging", Revision: 7, Image: "bad", To: 6, Back: 8,
		Reasons: []rollout.Reason{{Object: "pod tiny-1", Reason: "Unhealthy", Message: "GET / on port 8000 answers 401", Hint: "health is in berth.yaml"}},
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"as it is":          {lost, "error: revision 7 of staging failed; revision 6 serves again (as revision 8)\n"},
		"joined":            {errors.Join(lost, nil), "error: revision 7 of staging failed; revision 6 serves again (as revision 8)\n"},
		"joined with more":  {errors.Join(lost, errors.New("the lock was lost")), "the lock was lost"},
		"wrapped with more": {fmt.Errorf("up: %w", lost), "error: up: revision 7"},
	} {
		w := newWorld()
		w.fail["deploy staging bad"] = test.err
		got := w.berth(t, "deploy", "staging", "--image", "bad")
		for _, want := range []string{test.want, "health is in berth.yaml"} {
			if got.status != failed || strings.Count(got.errors, want) != 1 {
				t.Errorf("%s: %q is not there once:\n%s", name, want, got.errors)
			}
		}
	}
}

func TestRollback(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "rollback", "production")
	w.wantCalls(t, "rollback production")
	if got.out != "production serves revision 3: https://tiny.localhost:8443\n" {
		t.Errorf("%+v", got)
	}
}

func TestHistory(t *testing.T) {
	w := newWorld()
	w.history = []release.Revision{
		{Number: 1, Image: "a", When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local), State: release.StateSuperseded, Who: "ann@desk", Description: "deploy a by ann@desk", Commit: "0123456789abcdef0123456789abcdef01234567"},
		{Number: 2, Image: "b", When: time.Date(2026, 1, 2, 4, 4, 5, 0, time.Local), State: release.StateDeployed, Who: "bob@desk", Description: "rollback to 1 by bob@desk", Commit: "fedcba9876543210fedcba9876543210fedcba98", Dirty: true},
	}
	got := w.berth(t, "history", "staging")
	want := `   REV  WHEN                 STATE       COMMIT       IMAGE  WHO       WHAT
   1    2026-01-02 03:04:05  superseded  0123456789   a      ann@desk  deploy a
✓  2    2026-01-02 04:04:05  deployed    fedcba9876+  b      bob@desk  rollback to 1
`
	if got.out != want {
		t.Errorf("stdout is\n%s", got.out)
	}
	var revisions []release.Revision
	if err := json.Unmarshal([]byte(w.berth(t, "history", "staging", "--json").out), &revisions); err != nil || len(revisions) != 2 {
		t.Errorf("got %v, %v", revisions, err)
	}
}

func TestScale(t *testing.T) {
	w := newWorld()
	if got := w.berth(t, "scale", "--size", "s-2vcpu-4gb"); got.status != succeeded {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t, "scale s-2vcpu-4gb")
}

func TestWithoutAClusterTheHintIsInit(t *testing.T) {
	w := newWorld()
	w.cluster = nil
	for _, args := range [][]string{{"deploy", "staging"}, {"status"}, {"history", "staging"}, {"scale", "--nodes", "2"}} {
		got := w.berth(t, args...)
		if got.status != failed || got.errors != "error: the cluster is not up\nhint: berth init\n" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	w.wantCalls(t)
}

func TestDestroyTakesEverythingDownInOrder(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "destroy", "--yes")
	w.wantCalls(t, "remove staging", "remove production", "remove log agent", "remove platform", "destroy")
	if want := `This removes for good from cluster local:
  the environment staging with its database, revisions and secrets
  the environment production with its revisions and secrets
  everything else that berth installed
  the cluster itself with its nodes, volumes and bucket
It keeps berth.yaml, .env and installed packages.
Kept:
  the packages
`; got.out != want {
		t.Errorf("stdout is\n%s", got.out)
	}

	// A stopped cluster is removed all the same.
	w = newWorld()
	w.cluster = nil
	if got := w.berth(t, "destroy", "--yes"); got.status != succeeded {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t, "destroy")
}

func TestDoctorNamesTheRemedy(t *testing.T) {
	w := newWorld()
	w.checks = []provider.Check{{Name: "root"}, {Name: "memory", Problem: "1 GiB, 3 needed", Remedy: "add some"}}
	got := w.berth(t, "doctor")
	if want := " ✓ root\n ✗ memory: 1 GiB, 3 needed\n     add some\n"; got.status != failed || got.out != want || got.errors != "" {
		t.Errorf("%+v", got)
	}
	var seen struct {
		OK     bool
		Checks []provider.Check
	}
	got = w.berth(t, "doctor", "--json")
	if err := json.Unmarshal([]byte(got.out), &seen); err != nil || seen.OK || len(seen.Checks) != 2 || got.status != failed {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnErrorKeepsItsKindOnItsWayOut(t *testing.T) {
	w := newWorld()
	w.fail["rollback staging"] = fault.WithHint(fault.Usage("there is no revision 9"), "berth history staging")
	got := w.berth(t, "rollback", "staging", "9")
	if got.status != misused || got.errors != "error: there is no revision 9\nhint: berth history staging\n" {
		t.Errorf("%+v", got)
	}
}
