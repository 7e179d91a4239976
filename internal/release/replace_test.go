package release

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/release/common"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
	"berth/internal/progress"
)

// restored is the volume of a server that was restored as a whole.
const restored = "data-shop-postgres17b-0"

// A restored server takes the place of the one that serves, and one command goes back.
func TestReplaceAndBack(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	var filled []Volume
	fill := func(_ context.Context, v Volume) error {
		filled = append(filled, v)
		replicas, _, _ := w.paused()
		if replicas == 0 || !slices.Contains(w.claims(), v.Claim) || len(w.servers()) != 1 {
			t.Errorf("%s is filled with %d replicas, of %q, beside %q", v.Claim, replicas, w.claims(), w.servers())
		}
		return nil
	}
	done, err := c.ReplaceDatabase(t.Context(), "production", fill, progress.Discard)
	if err != nil || done.From != original || done.To.String() != "PostgreSQL 17b" || done.Outage <= 0 || done.Finished {
		t.Fatalf("got %+v, %v", done, err)
	}
	w.wants(t, c, "17b", "shop-postgres17b", restored+" "+old)
	v := filled[0]
	if v.Path != "/var/lib/postgresql/data" || v.Data != v.Path+"/pgdata" || v.Version != 17 || *v.Security.RunAsUser != 999 || *v.Security.FSGroup != 999 {
		t.Errorf("what is filled is %+v", v)
	}
	kept, err := c.KeptServers(t.Context(), "production")
	if err != nil || len(kept) != 1 || kept[0].Server != original || kept[0].Unfinished || kept[0].image != "postgres:17" {
		t.Errorf("kept are %+v, %v", kept, err)
	}

	// Deploys stay on it, and a rollback does not leave it without a word.
	mustDeploy(t, c, "good:1")
	w.wants(t, c, "17b", "shop-postgres17b", restored+" "+old)
	_, err = c.Rollback(t.Context(), "production", 1, progress.Discard)
	if !fault.IsUsage(err) || !strings.Contains(err.Error(), "was on PostgreSQL 17, and the database is on 17b now") {
		t.Errorf("a rollback: %v", err)
	}

	if done, err = c.DatabaseBack(t.Context(), "production", progress.Discard); err != nil || done.From.Letter != "b" || done.To != original {
		t.Fatalf("back: %+v, %v", done, err)
	}
	w.wants(t, c, "17", "shop-postgresql", restored+" "+old)
	mustDeploy(t, c, "good:1")

	// What was written to the first is not thrown away by a second one.
	if done, err = c.ReplaceDatabase(t.Context(), "production", fill, progress.Discard); err != nil || done.To.Letter != "c" {
		t.Errorf("a second one: %+v, %v", done, err)
	}
	w.wants(t, c, "17c", "shop-postgres17c", restored+" data-shop-postgres17c-0 "+old)
	if forgotten, err := c.ForgetDatabases(t.Context(), "production", progress.Discard); err != nil || len(forgotten) != 2 {
		t.Errorf("forgotten are %v, %v", forgotten, err)
	}
	// Its own name is free again.
	if done, err = c.ReplaceDatabase(t.Context(), "production", fill, progress.Discard); err != nil || done.To != original {
		t.Errorf("a third one: %+v, %v", done, err)
	}
	w.wants(t, c, "17", "shop-postgresql", "data-shop-postgres17c-0 "+old)
}

// Whatever fails leaves the old server serving, and nothing of the other.
func TestReplaceThatFails(t *testing.T) {
	good := func(context.Context, Volume) error { return nil }
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	_, err := c.ReplaceDatabase(t.Context(), "production", func(context.Context, Volume) error { return errors.New("no room") }, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	w.wants(t, c, "17", "shop-postgresql", old)

	w.refuseAfter = errors.New("the API is away")
	_, err = c.ReplaceDatabase(t.Context(), "production", good, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "written to PostgreSQL 17b meanwhile stays") {
		t.Errorf("got %v", err)
	}
	w.wants(t, c, "17", "shop-postgresql", restored+" "+old)
	if done, err := c.ReplaceDatabase(t.Context(), "production", good, progress.Discard); err != nil || done.To.Letter != "c" {
		t.Errorf("again: %+v, %v", done, err)
	}

	staging, c := newWorld(t)
	staging.scales()
	mustDeploy(t, c, "good:1")
	if _, err := c.ReplaceDatabase(t.Context(), "production", good, progress.Discard); !fault.IsUsage(err) {
		t.Errorf("of nothing: %v", err)
	}
}

// Killed at any step and run again, it comes to its end; a Job that still fills is ended.
func TestReplaceAfterAKill(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	jobs := w.clientset.BatchV1().Jobs("production")
	func() {
		defer func() {
			if recover() != errKilled {
				t.Error("it was not killed")
			}
			if err := c.kube.CoordinationV1().Leases("production").Delete(context.Background(), "shop-deploy", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}()
		_, err := c.ReplaceDatabase(t.Context(), "production", func(ctx context.Context, v Volume) error {
			for name, claim := range map[string]string{"fill": v.Claim, "other": old} {
				job := &batch.Job{ObjectMeta: metav1.ObjectMeta{Name: name}}
				job.Spec.Template.Spec.Volumes = []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{
					PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: claim},
				}}}
				_, err := jobs.Create(ctx, job, metav1.CreateOptions{})
				w.try(err)
			}
			panic(errKilled)
		}, progress.Discard)
		t.Error(err)
	}()
	kept, err := c.KeptServers(t.Context(), "production")
	if err != nil || len(kept) != 1 || !kept[0].Unfinished {
		t.Errorf("kept are %+v, %v", kept, err)
	}
	mustDeploy(t, c, "good:1") // takes no notice
	w.wants(t, c, "17", "shop-postgresql", restored+" "+old)
	fills := 0
	fill := func(context.Context, Volume) error {
		fills++
		list, err := jobs.List(t.Context(), metav1.ListOptions{})
		w.try(err)
		if len(list.Items) != 1 || list.Items[0].Name != "other" {
			t.Errorf("the Jobs are %+v", list.Items)
		}
		return nil
	}
	if _, err := c.ReplaceDatabase(t.Context(), "production", fill, progress.Discard); err != nil || fills != 1 {
		t.Errorf("%d times filled: %v", fills, err)
	}
	w.wants(t, c, "17b", "shop-postgres17b", restored+" "+old)

	// After the switch, nothing is left to do but the revision.
	w.unmark(t, 1, common.StatusDeployed)
	w.unmark(t, 2, common.StatusPendingUpgrade)
	if done, err := c.ReplaceDatabase(t.Context(), "production", fill, progress.Discard); err != nil || fills != 1 || !done.Finished || done.To.Letter != "b" {
		t.Errorf("%d times filled: %+v, %v", fills, done, err)
	}
	w.wants(t, c, "17b", "shop-postgres17b", restored+" "+old)
}

// A deploy to volumes that a removed release has left takes the one that served last.
func TestDeployToWhatIsLeft(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	if _, err := c.ReplaceDatabase(t.Context(), "production", func(context.Context, Volume) error { return nil }, progress.Discard); err != nil {
		t.Fatal(err)
	}
	h, err := c.release("production")
	w.try(err)
	w.try(h.Uninstall(time.Minute))
	w.try(w.clientset.CoreV1().Services("production").Delete(t.Context(), "shop-postgresql", metav1.DeleteOptions{}))
	mustDeploy(t, c, "good:1")
	w.wants(t, c, "17b", "shop-postgres17b", restored+" "+old)
}
