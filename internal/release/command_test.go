package release

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"berth/internal/config"
	"berth/internal/progress"
)

// newShop is a world whose application has all kinds of processes. Its release
// command ends as outcomes say, one after the other, and well when they are
// used up; "running" leaves it to the test.
func newShop(t *testing.T, outcomes ...string) (*world, *Client) {
	w, c := newWorld(t)
	c.config.Release = config.Release{Command: config.Command{"migrate"}, Timeout: config.Duration(time.Minute)}
	c.config.Processes = map[string]config.Process{
		"worker":  {Command: config.Command{"work"}, Replicas: 1},
		"nightly": {Command: config.Command{"report"}, Schedule: "0 3 * * *", TimeZone: "Etc/UTC", Deadline: config.Duration(time.Hour)},
	}
	c.config.Volumes = map[string]config.Volume{"uploads": {Path: "/uploads", Size: "1Gi"}}
	w.clientset.PrependReactor("create", "jobs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		job, _ := action.(clienttesting.CreateAction).GetObject().(*batch.Job)
		w.applied = append(w.applied, "run "+strings.Join(job.Spec.Template.Spec.Containers[0].Command, " "))
		outcome := "good"
		if len(outcomes) > 0 {
			outcome, outcomes = outcomes[0], outcomes[1:]
		}
		if outcome != "running" {
			w.end(job, outcome == "good")
		}
		return false, nil, nil
	})
	return w, c
}

// end ends a release command, with its pod.
func (w *world) end(job *batch.Job, well bool) {
	job.Status.Conditions = []batch.JobCondition{{Type: batch.JobComplete, Status: core.ConditionTrue}}
	if well {
		return
	}
	job.Status.Conditions = []batch.JobCondition{{Type: batch.JobFailed, Status: core.ConditionTrue, Reason: "BackoffLimitExceeded"}}
	pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop-release-x", Namespace: "production", Labels: map[string]string{batch.JobNameLabel: "shop-release"}}}
	pod.Status.ContainerStatuses = []core.ContainerStatus{{Name: "release", State: core.ContainerState{
		Terminated: &core.ContainerStateTerminated{ExitCode: 3, Reason: "Error"},
	}}}
	w.put(core.SchemeGroupVersion.WithResource("pods"), pod)
}

// ran counts release commands.
func (w *world) ran() (count int) {
	for _, what := range w.applied {
		if strings.HasPrefix(what, "run ") {
			count++
		}
	}
	return count
}

func (w *world) job() *batch.Job {
	w.t.Helper()
	job, err := w.clientset.BatchV1().Jobs("production").Get(context.Background(), "shop-release", metav1.GetOptions{})
	w.try(err)
	return job
}

// What the release command needs is there before it runs, the pods come after
// it, and cron jobs when those serve.
func TestTheOrderOfARelease(t *testing.T) {
	w, c := newShop(t)
	mustDeploy(t, c, "good:1")
	// Helm's order of kinds holds within each step.
	want := []string{
		"NetworkPolicy shop", "ServiceAccount shop", "PersistentVolumeClaim shop-uploads",
		"run migrate",
		"NetworkPolicy shop-web", "PodDisruptionBudget shop", "Service shop", "Deployment shop", "Deployment shop-worker",
		"CronJob shop-nightly",
	}
	if diff := cmp.Diff(want, w.applied); diff != "" {
		t.Error(diff)
	}
}

// A release command that fails keeps every pod as it was, and shows its end.
func TestAFailedReleaseCommand(t *testing.T) {
	w, c := newShop(t, "good", "bad")
	mustDeploy(t, c, "good:1")
	w.applied = nil
	c.config.DotEnv["TOKEN"] = "a newer secret value"
	failed := failingDeploy(t, c, "good:2")
	if len(failed.Reasons) != 1 || failed.Reasons[0].ExitCode == nil || *failed.Reasons[0].ExitCode != 3 || !slices.Equal(failed.Reasons[0].Log, []string{"fake logs"}) {
		t.Errorf("the reasons are %+v", failed.Reasons)
	}
	if why := failed.why(); !strings.HasPrefix(why, "release command, container release: Error, exit code 3") {
		t.Errorf("it failed because of %q", why)
	}
	pods, err := w.clientset.CoreV1().Pods("production").List(context.Background(), metav1.ListOptions{})
	w.try(err)
	for _, pod := range pods.Items {
		for _, container := range pod.Spec.Containers {
			if container.Image != "good:1" {
				t.Errorf("pod %s runs %s", pod.Name, container.Image)
			}
		}
	}
	secret, err := w.clientset.CoreV1().Secrets("production").Get(context.Background(), "shop-env", metav1.GetOptions{})
	w.try(err)
	if got := string(secret.Data["TOKEN"]); got != "a very secret value" {
		t.Errorf("the secret is %q afterwards", got)
	}
	if w.ran() != 1 {
		t.Errorf("going back ran the release command: %v", w.applied)
	}
}

// Cron jobs are not touched by a revision whose worker crashes.
func TestAWorkerThatCrashesFailsTheRelease(t *testing.T) {
	w, c := newShop(t)
	mustDeploy(t, c, "good:1")
	w.applied = nil
	c.config.Processes["worker"] = config.Process{Command: config.Command{"crash"}, Replicas: 1}
	delete(c.config.Processes, "nightly")
	failed := failingDeploy(t, c, "good:2")
	if len(failed.Reasons) != 1 || failed.Reasons[0].Container != "worker" {
		t.Errorf("the reasons are %+v", failed.Reasons)
	}
	if failed.Back == 0 {
		t.Errorf("it did not go back: %v", failed)
	}
	at := slices.Index(w.applied, "CronJob shop-nightly")
	if again := slices.Index(w.applied, "Deployment shop-worker"); at < again {
		t.Errorf("the cron job was changed before the workers served: %v", w.applied)
	}
}

// The release command runs once for each release: not when nothing changed, and
// not when an earlier revision is rolled back to.
func TestWhenTheReleaseCommandRuns(t *testing.T) {
	w, c := newShop(t)
	mustDeploy(t, c, "good:1")
	if again := mustDeploy(t, c, "good:1"); !again.Unchanged || w.ran() != 1 {
		t.Errorf("nothing changed: %+v, ran %d times", again, w.ran())
	}
	mustDeploy(t, c, "good:2")
	if w.ran() != 2 {
		t.Errorf("a new image: ran %d times, want 2", w.ran())
	}
	if _, err := c.Rollback(context.Background(), "production", 1, progress.Discard); err != nil {
		t.Fatal(err)
	}
	if w.ran() != 2 {
		t.Errorf("a rollback ran it: %d times, want 2", w.ran())
	}
	mustDeploy(t, c, "good:2")
	if w.ran() != 3 {
		t.Errorf("deployed again after a rollback: ran %d times, want 3", w.ran())
	}
}

// interrupt leaves things as a berth does that is killed while it deploys.
func (w *world) interrupt() {
	w.t.Helper()
	found, err := w.storage.Last("shop")
	w.try(err)
	r := found.(*helmrelease.Release)
	r.Info.Status, r.Info.Description = common.StatusPendingUpgrade, "deploy by mira@laptop"
	w.try(w.storage.Update(r))
}

func TestAReleaseCommandOfAnInterruptedDeploy(t *testing.T) {
	for _, test := range []struct {
		name, image string
		outcome     string
		ran         int
		note        string
	}{
		{"had run", "good:2", "good", 0, "it is not run again"},
		{"had run, of another image", "good:3", "good", 1, "ended well"},
		{"had failed", "good:2", "bad", 1, "of the interrupted revision 2 failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, c := newShop(t)
			mustDeploy(t, c, "good:1")
			mustDeploy(t, c, "good:2")
			w.interrupt()
			job := w.job()
			w.end(job, test.outcome == "good")
			w.put(batch.SchemeGroupVersion.WithResource("jobs"), job)
			w.applied = nil
			notes := progressNotes{Reporter: progress.Discard}
			if _, err := c.Deploy(context.Background(), "production", test.image, &notes); err != nil {
				t.Fatal(err)
			}
			if w.ran() != test.ran {
				t.Errorf("it ran %d times, want %d", w.ran(), test.ran)
			}
			if !strings.Contains(notes.String(), test.note) {
				t.Errorf("the notes are %q, want %q in them", notes.String(), test.note)
			}
			// It counts for the revision that took it over, and for no later one.
			w.applied = nil
			c.config.Environments["production"] = config.Environment{Database: config.NoDatabase, Replicas: 3}
			mustDeploy(t, c, test.image)
			if w.ran() != 1 {
				t.Errorf("the next release ran it %d times, want once", w.ran())
			}
		})
	}
}

// One that still runs is gone on with, or waited for when it is another one.
func TestAReleaseCommandThatStillRuns(t *testing.T) {
	for image, ran := range map[string]int{"good:2": 0, "good:3": 1} {
		w, c := newShop(t)
		mustDeploy(t, c, "good:1")
		mustDeploy(t, c, "good:2")
		w.interrupt()
		running := w.job()
		running.Status.Conditions = nil
		w.put(batch.SchemeGroupVersion.WithResource("jobs"), running)
		w.applied = nil
		done := make(chan error)
		go func() {
			_, err := c.Deploy(context.Background(), "production", image, progress.Discard)
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("%s: the deploy ended before the command did: %v", image, err)
		case <-time.After(100 * time.Millisecond):
		}
		if slices.Contains(w.applied, "Deployment shop") {
			t.Errorf("%s: pods were changed while the command ran", image)
		}
		// The fake API reads a Job and writes it again to take it over, which would
		// undo what is written between the two.
		for ran == 0 && w.job().Annotations[jobRevision] != "3" {
			select {
			case err := <-done:
				t.Fatalf("%s: the deploy ended before the command did: %v", image, err)
			case <-time.After(time.Millisecond):
			}
		}
		ended := w.job()
		w.end(ended, true)
		w.put(batch.SchemeGroupVersion.WithResource("jobs"), ended)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if w.ran() != ran {
			t.Errorf("%s: it ran %d times, want %d", image, w.ran(), ran)
		}
	}
}

// Status shows cron jobs beside the pods, and one whose last run failed.
func TestStatusShowsCronJobs(t *testing.T) {
	w, c := newShop(t)
	mustDeploy(t, c, "good:1")
	due := metav1.NewTime(time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC))
	zone := "Europe/Berlin"
	w.put(batch.SchemeGroupVersion.WithResource("cronjobs"), &batch.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-nightly", Namespace: "production",
			Labels: map[string]string{"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": "shop"}},
		Spec:   batch.CronJobSpec{Schedule: "0 3 * * *", TimeZone: &zone},
		Status: batch.CronJobStatus{LastScheduleTime: &due},
	})
	status, err := c.Status(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	want := []CronJob{{Name: "shop-nightly", Schedule: "0 3 * * *", TimeZone: zone, Last: &due.Time}}
	if diff := cmp.Diff(want, status.CronJobs); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(status.Warnings, "shop-nightly: its last run failed, that of 2026-03-01T03:00:00Z") {
		t.Errorf("the warnings are %q", status.Warnings)
	}
	var workers int
	for _, pod := range status.Pods {
		if pod.Workload == "shop-worker" {
			workers++
		}
	}
	if workers != 1 {
		t.Errorf("%d workers are shown among %+v", workers, status.Pods)
	}
}

// progressNotes keeps what a deploy remarks.
type progressNotes struct {
	progress.Reporter
	strings.Builder
}

func (n *progressNotes) Note(text string) { n.WriteString(text + "\n") }
