package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
	"berth/internal/progress"
)

// tell writes an environment's history as one line a revision.
func tell(t *testing.T, c *Client) []string {
	t.Helper()
	past, err := c.History(context.Background(), "production")
	if errors.Is(err, ErrNotDeployed) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range past {
		lines = append(lines, fmt.Sprintf("%d %s %s: %s", r.Number, r.State, r.Image, r.Description))
	}
	return lines
}

func wantHistory(t *testing.T, c *Client, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, tell(t, c)); diff != "" {
		t.Errorf("history differs from what was wanted:\n%s", diff)
	}
}

// mustDeploy deploys an image that serves.
func mustDeploy(t *testing.T, c *Client, image string) Revision {
	t.Helper()
	r, err := c.Deploy(context.Background(), "production", image, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failingDeploy deploys one that does not.
func failingDeploy(t *testing.T, c *Client, image string) *Failed {
	t.Helper()
	_, err := c.Deploy(context.Background(), "production", image, progress.Discard)
	var failed *Failed
	if !errors.As(err, &failed) {
		t.Fatalf("deploy %s: %v, want a *Failed", image, err)
	}
	return failed
}

func TestDeployMakesARevisionOnlyWhenSomethingChanged(t *testing.T) {
	_, c := newWorld(t)
	first := mustDeploy(t, c, "good:1")
	if again := mustDeploy(t, c, "good:1"); !again.Unchanged || again.Number != first.Number {
		t.Errorf("the same again: %+v", again)
	}
	c.config.DotEnv["TOKEN"] = "another secret value"
	if changed := mustDeploy(t, c, "good:1"); changed.Unchanged {
		t.Error("a changed secret made no revision")
	}
	mustDeploy(t, c, "good:2")
	wantHistory(t, c,
		"1 superseded good:1: deploy good:1 by mira@laptop",
		"2 superseded good:1: deploy good:1 by mira@laptop",
		"3 deployed good:2: deploy good:2 by mira@laptop")
}

func TestUnchangedButNotServingIsDeployedAgain(t *testing.T) {
	w, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	w.try(w.clientset.CoreV1().Pods("production").Delete(context.Background(), "shop-good-1-0", metav1.DeleteOptions{}))
	if again := mustDeploy(t, c, "good:1"); again.Unchanged || again.Number != 2 {
		t.Errorf("got %+v, want a second revision", again)
	}
}

func TestFailedDeployGoesBack(t *testing.T) {
	w, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	w.put(core.SchemeGroupVersion.WithResource("events"), &core.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "production"}, Type: "Warning", Reason: "FailedMount",
		Message:        "no such token a new and bad value",
		InvolvedObject: core.ObjectReference{Kind: "Pod", Name: "shop-crash-2-0"}, LastTimestamp: metav1.NewTime(time.Now().Add(time.Minute)),
	})
	c.config.DotEnv["TOKEN"] = "a new and bad value"
	failed := failingDeploy(t, c, "crash:2")

	want := `revision 2 (crash:2) of production does not serve

pod shop-crash-2-0, container web: CrashLoopBackOff, exit code 1, 2 restarts
    fake logs

events:
    pod shop-crash-2-0: FailedMount: no such token ••••
`
	if got := failed.Report(); got != want {
		t.Errorf("report:\n%s", cmp.Diff(want, got))
	}
	if failed.Back != 3 || failed.To != 1 {
		t.Errorf("back to %d as %d, want 1 as 3", failed.To, failed.Back)
	}
	wantHistory(t, c,
		"1 superseded good:1: deploy good:1 by mira@laptop",
		"2 failed crash:2: deploy crash:2 by mira@laptop: failed: pod shop-crash-2-0, container web: CrashLoopBackOff, exit code 1, 2 restarts",
		"3 deployed good:1: back to 1 after 2 failed, by mira@laptop")
	secret, err := w.clientset.CoreV1().Secrets("production").Get(context.Background(), "shop-env", metav1.GetOptions{})
	w.try(err)
	if got := string(secret.Data["TOKEN"]); got != "a very secret value" {
		t.Errorf("the secret of the revision that serves is %q", got)
	}
}

func TestFailedFirstDeployDoesNotBlockTheNext(t *testing.T) {
	_, c := newWorld(t)
	failed := failingDeploy(t, c, "crash:1")
	if failed.Back != 0 || !strings.Contains(failed.Error(), "nothing served before") {
		t.Errorf("got %v", failed)
	}
	failingDeploy(t, c, "crash:2")
	mustDeploy(t, c, "good:3")
	for i, line := range tell(t, c) {
		if want := []string{"1 failed", "2 failed", "3 deployed"}[i]; !strings.HasPrefix(line, want) {
			t.Errorf("got %q, want %q", line, want)
		}
	}
}

func TestRefusedObjectsGoBackToo(t *testing.T) {
	w, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	w.refuse = errors.New(`admission webhook "policy" denied the request`)
	failed := failingDeploy(t, c, "good:2")
	if !strings.Contains(failed.Error(), "denied the request; revision 1 serves again (as revision 3)") {
		t.Errorf("got %v", failed)
	}
}

func TestValuesThatTheChartRefusesChangeNothing(t *testing.T) {
	_, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	e := c.config.Environments["production"]
	e.Values = map[string]any{"replicas": "many"}
	c.config.Environments["production"] = e
	_, err := c.Deploy(context.Background(), "production", "good:2", progress.Discard)
	if err == nil || errors.As(err, new(*Failed)) || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("got %v", err)
	}
	wantHistory(t, c, "1 deployed good:1: deploy good:1 by mira@laptop")
}

func TestInterruptedDeployGoesBack(t *testing.T) {
	_, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := c.Deploy(ctx, "production", "slow:2", waiting{cancel})
	var failed *Failed
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a *Failed", err)
	}
	if !errors.Is(failed, context.Canceled) || failed.Back != 3 {
		t.Errorf("got %v", failed)
	}
}

// waiting calls a function once the pods of a revision are waited for.
type waiting struct{ then func() }

func (w waiting) Step(string) progress.Step { return w }
func (waiting) Note(string)                 {}
func (waiting) End(error)                   {}
func (w waiting) Detail(text string) {
	if strings.Contains(text, "pods ready") {
		w.then()
	}
}

func TestRevisionThatNeverGetsReadyFailsInTime(t *testing.T) {
	_, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	c.timeouts.deploy = 50 * time.Millisecond
	failed := failingDeploy(t, c, "slow:2")
	if len(failed.Reasons) == 0 || failed.Back != 3 {
		t.Errorf("got %v", failed)
	}
}

func TestKilledRunIsTakenUp(t *testing.T) {
	for _, pending := range []common.Status{common.StatusPendingInstall, common.StatusPendingUpgrade, common.StatusPendingRollback} {
		t.Run(pending.String(), func(t *testing.T) {
			w, c := newWorld(t)
			mustDeploy(t, c, "good:1")
			found, err := w.storage.Last("shop")
			w.try(err)
			found.(*helmrelease.Release).Info.Status = pending
			w.try(w.storage.Update(found))
			wantHistory(t, c, "1 pending good:1: deploy good:1 by mira@laptop")
			mustDeploy(t, c, "good:2")
			wantHistory(t, c,
				"1 failed good:1: deploy good:1 by mira@laptop: interrupted before it served",
				"2 deployed good:2: deploy good:2 by mira@laptop")
		})
	}
}

func TestForeignReleaseIsLeftAlone(t *testing.T) {
	w, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	found, err := w.storage.Last("shop")
	w.try(err)
	found.(*helmrelease.Release).Labels = nil
	w.try(w.storage.Update(found))
	_, err = c.Deploy(context.Background(), "production", "good:2", progress.Discard)
	if err == nil || !strings.Contains(err.Error(), `a Helm release "shop" that berth did not make`) {
		t.Errorf("got %v", err)
	}
}

func TestUnknownEnvironment(t *testing.T) {
	_, c := newWorld(t)
	_, err := c.Deploy(context.Background(), "moon", "good:1", progress.Discard)
	if !fault.IsUsage(err) || fault.Hint(err) != "berth.yaml has: production" {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
}

func TestRollback(t *testing.T) {
	ctx := context.Background()
	_, c := newWorld(t)
	back := func(revision int) (Revision, error) {
		return c.Rollback(ctx, "production", revision, progress.Discard)
	}
	if _, err := back(0); !errors.Is(err, ErrNotDeployed) {
		t.Errorf("nothing deployed: %v", err)
	}
	mustDeploy(t, c, "good:1")
	if _, err := back(0); !fault.IsUsage(err) {
		t.Errorf("one revision: %v", err)
	}
	mustDeploy(t, c, "good:2")
	failingDeploy(t, c, "crash:3") // and 4 is 2 again
	tests := []struct {
		revision int
		image    string
		err      string
	}{
		{revision: 3, err: "revision 3 never served"},
		{revision: 9, err: "there is no revision 9"},
		// Revision 4 is what 2 was, so going back leads before both.
		{revision: 0, image: "good:1"},
		// Once more undoes it.
		{revision: 0, image: "good:2"},
		{revision: 1, image: "good:1"},
	}
	for _, test := range tests {
		made, err := back(test.revision)
		if test.err != "" {
			if !fault.IsUsage(err) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("rollback to %d: %v, want %q", test.revision, err, test.err)
			}
			continue
		}
		if err != nil || made.Image != test.image {
			t.Errorf("rollback to %d: %+v, %v, want %s", test.revision, made, err, test.image)
		}
	}
	want := []string{
		"1 superseded good:1: deploy good:1 by mira@laptop",
		"2 superseded good:2: deploy good:2 by mira@laptop",
		"3 failed crash:3: deploy crash:3 by mira@laptop: failed: pod shop-crash-3-0, container web: CrashLoopBackOff, exit code 1, 2 restarts",
		"4 rolled back good:2: back to 2 after 3 failed, by mira@laptop",
		"5 rolled back good:1: rollback to 1 by mira@laptop",
		"6 rolled back good:2: rollback to 4 by mira@laptop",
		"7 deployed good:1: rollback to 1 by mira@laptop",
	}
	wantHistory(t, c, want...)
}

func TestStatus(t *testing.T) {
	ctx := context.Background()
	_, c := newWorld(t)
	if st, err := c.Status(ctx, "production"); err != nil || st.Deployed {
		t.Errorf("nothing deployed: %+v, %v", st, err)
	}
	mustDeploy(t, c, "good:1")
	st, err := c.Status(ctx, "production")
	if err != nil || !st.Serving || st.Ready != 2 || st.Wanted != 2 || len(st.Pods) != 2 || len(st.Warnings) != 0 || st.Revision.Number != 1 {
		t.Errorf("serving: %+v, %v", st, err)
	}
	if err := c.kube.CoreV1().Pods("production").Delete(ctx, "shop-good-1-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	st, err = c.Status(ctx, "production")
	if err != nil || st.Serving || st.Ready != 1 || fmt.Sprint(st.Warnings) != "[shop: 1 of 2 pods ready]" {
		t.Errorf("a pod is missing: %+v, %v", st, err)
	}
}
