package release

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	apps "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/fault"
	"berth/internal/progress"
)

// A database that starts for the first time may take longer than its application is
// waited for.
func TestTheApplicationComesAfterItsDatabase(t *testing.T) {
	w, c := newDatabaseWorld(t)
	var serves atomic.Bool
	applied := false
	w.onUpdate = func(original, target engine.ResourceList) {
		for _, info := range target {
			switch info.Mapping.GroupVersionKind.Kind {
			case "StatefulSet":
				set := &apps.StatefulSet{}
				w.try(runtime.DefaultUnstructuredConverter.FromUnstructured(info.Object.(*unstructured.Unstructured).Object, set))
				set.Namespace = "production"
				w.put(apps.SchemeGroupVersion.WithResource("statefulsets"), set)
				time.AfterFunc(200*time.Millisecond, func() {
					serves.Store(true)
					w.run(set)
				})
			case "Deployment":
				if applied = true; !serves.Load() {
					t.Error("the application is applied, and its database does not serve yet")
				}
			}
		}
	}
	if _, err := c.Deploy(t.Context(), "production", "good:1", progress.Discard); err != nil || !applied {
		t.Errorf("applied: %t, %v", applied, err)
	}
}

// to18 is an upgrade that notes what is asked of it.
func (d *databaseWorld) to18(said *[]string, fails string) Upgrade {
	note := func(what string) func(context.Context, string) error {
		return func(_ context.Context, host string) error {
			replicas, _, _ := d.paused()
			*said = append(*said, what+" to "+host+map[bool]string{true: " while it serves", false: " while nobody writes"}[replicas > 0])
			if what == fails {
				return errors.New("no such extension")
			}
			return nil
		}
	}
	return Upgrade{To: 18, Rehearse: note("rehearse"), Move: note("move")}
}

func TestUpgradeAndBack(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	w.wants(t, c, "17", "shop-postgresql", old)

	var said []string
	done, err := c.UpgradeDatabase(t.Context(), "production", w.to18(&said, ""), progress.Discard)
	if err != nil || done.From.Version != 17 || done.To.Version != 18 || done.Outage <= 0 {
		t.Fatalf("got %+v, %v", done, err)
	}
	if want := []string{"rehearse to shop-postgres18-headless while it serves", "move to shop-postgres18-headless while nobody writes"}; !slices.Equal(said, want) {
		t.Errorf("it was asked to %q", said)
	}
	w.wants(t, c, "18", "shop-postgres18", next+" "+old)
	kept, err := c.KeptServers(t.Context(), "production")
	if err != nil || len(kept) != 1 || kept[0].Version != 17 || kept[0].Unfinished || time.Since(kept[0].Since) > time.Minute || kept[0].image != "postgres:17" {
		t.Errorf("kept are %+v, %v", kept, err)
	}
	said = nil // again changes nothing
	if done, err := c.UpgradeDatabase(t.Context(), "production", w.to18(&said, ""), progress.Discard); err != nil || !done.Already || len(said) > 0 {
		t.Errorf("again: %+v, %v", done, err)
	}

	// Neither a deploy nor a rollback goes back without a word.
	_, err = c.Deploy(t.Context(), "production", "good:2", progress.Discard)
	if !fault.IsUsage(err) || !strings.Contains(err.Error(), "is of PostgreSQL 18, and berth.yaml says 17") || !strings.Contains(fault.Hint(err), "databaseVersion: 18") {
		t.Errorf("a deploy of 17: %v (%s)", err, fault.Hint(err))
	}
	if _, err = c.Rollback(t.Context(), "production", 1, progress.Discard); !fault.IsUsage(err) || !strings.Contains(fault.Hint(err), "--back") {
		t.Errorf("a rollback: %v (%s)", err, fault.Hint(err))
	}
	w.wants(t, c, "18", "shop-postgres18", next+" "+old)
	e := c.config.Environments["production"]
	e.DatabaseVersion = 18
	c.config.Environments["production"] = e
	mustDeploy(t, c, "good:1")
	w.wants(t, c, "18", "shop-postgres18", next+" "+old)

	if done, err = c.DatabaseBack(t.Context(), "production", progress.Discard); err != nil || done.From.Version != 18 || done.To.Version != 17 {
		t.Fatalf("back: %+v, %v", done, err)
	}
	w.wants(t, c, "17", "shop-postgresql", next+" "+old)

	// What was written to the newer one is not thrown away by another upgrade.
	_, err = c.UpgradeDatabase(t.Context(), "production", w.to18(&said, ""), progress.Discard)
	if !fault.IsUsage(err) || !strings.Contains(fault.Hint(err), "--forget") {
		t.Errorf("an upgrade over a server that is kept: %v", err)
	}
	if forgotten, err := c.ForgetDatabases(t.Context(), "production", progress.Discard); err != nil || !slices.Equal(forgotten, []Server{{Version: 18}}) {
		t.Errorf("forgotten are %v, %v", forgotten, err)
	}
	w.wants(t, c, "17", "shop-postgresql", old)
	if _, err := c.DatabaseBack(t.Context(), "production", progress.Discard); !fault.IsUsage(err) {
		t.Errorf("back to what is not there: %v", err)
	}
}

// Whatever fails before the switch leaves the old server serving, and nothing else.
func TestUpgradeThatFails(t *testing.T) {
	for _, fails := range []string{"rehearse", "move"} {
		w, c := newDatabaseWorld(t)
		mustDeploy(t, c, "good:1")
		var said []string
		_, err := c.UpgradeDatabase(t.Context(), "production", w.to18(&said, fails), progress.Discard)
		if err == nil || !strings.Contains(err.Error(), "no such extension") {
			t.Errorf("%s: got %v", fails, err)
		}
		w.wants(t, c, "17", "shop-postgresql", old)
		if _, err := c.UpgradeDatabase(t.Context(), "production", w.to18(&said, ""), progress.Discard); err != nil {
			t.Errorf("again after %s: %v", fails, err)
		}
		w.wants(t, c, "18", "shop-postgres18", next+" "+old)
	}
}

// A revision that does not come about is gone back from, with the old server.
func TestUpgradeThatIsRefused(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	var said []string
	u := w.to18(&said, "")
	u.Move = func(context.Context, string) error {
		w.refuse = errors.New("the API is away")
		return nil
	}
	if _, err := c.UpgradeDatabase(t.Context(), "production", u, progress.Discard); err == nil || !strings.Contains(err.Error(), "PostgreSQL 17 serves as before") {
		t.Errorf("got %v", err)
	}
	if serves, err := c.Database(t.Context(), "production"); serves != original || err != nil {
		t.Errorf("%s serves: %v", serves, err)
	}
}

// What was written to the new server before it is gone back from is not thrown away.
func TestUpgradeThatDoesNotServe(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	var said []string
	u := w.to18(&said, "")
	u.Move = func(context.Context, string) error {
		w.refuseAfter = errors.New("the API is away")
		return nil
	}
	_, err := c.UpgradeDatabase(t.Context(), "production", u, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "written to PostgreSQL 18 meanwhile stays") {
		t.Errorf("got %v", err)
	}
	w.wants(t, c, "17", "shop-postgresql", next+" "+old)
	if kept, err := c.KeptServers(t.Context(), "production"); err != nil || len(kept) != 1 || kept[0].Version != 18 || kept[0].Unfinished {
		t.Errorf("kept are %+v, %v", kept, err)
	}
}

// Killed at any step and run again, an upgrade comes to its end and loses nothing.
func TestUpgradeAfterAKill(t *testing.T) {
	killed := func(t *testing.T) (*databaseWorld, *Client, []string) {
		w, c := newDatabaseWorld(t)
		mustDeploy(t, c, "good:1")
		return w, c, nil
	}
	finishes := func(t *testing.T, w *databaseWorld, c *Client, moves int) {
		t.Helper()
		var said []string
		if _, err := c.UpgradeDatabase(t.Context(), "production", w.to18(&said, ""), progress.Discard); err != nil {
			t.Fatal(err)
		}
		if len(said) != moves {
			t.Errorf("it was asked to %q", said)
		}
		w.wants(t, c, "18", "shop-postgres18", next+" "+old)
		if kept, err := c.KeptServers(t.Context(), "production"); err != nil || len(kept) != 1 || kept[0].Unfinished {
			t.Errorf("kept are %+v, %v", kept, err)
		}
	}
	die := func(context.Context, string) error { panic(errKilled) }
	upTo := func(t *testing.T, c *Client, u Upgrade) {
		t.Helper()
		defer func() {
			if recover() != errKilled {
				t.Error("it was not killed")
			}
			// Its lock is free once its process is gone.
			if err := c.kube.CoordinationV1().Leases("production").Delete(context.Background(), "shop-deploy", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}()
		_, err := c.UpgradeDatabase(t.Context(), "production", u, progress.Discard)
		t.Error(err)
	}
	t.Run("in the rehearsal", func(t *testing.T) {
		w, c, said := killed(t)
		u := w.to18(&said, "")
		u.Rehearse = die
		upTo(t, c, u)
		kept, err := c.KeptServers(t.Context(), "production")
		if err != nil || len(kept) != 1 || !kept[0].Unfinished {
			t.Errorf("kept are %+v, %v", kept, err)
		}
		if _, err := c.DatabaseBack(t.Context(), "production", progress.Discard); !fault.IsUsage(err) {
			t.Errorf("back to a server that never served: %v", err)
		}
		finishes(t, w, c, 2)
	})
	t.Run("while nobody writes", func(t *testing.T) {
		w, c, said := killed(t)
		u := w.to18(&said, "")
		u.Move = die
		upTo(t, c, u)
		if replicas, _, noted := w.paused(); replicas != 0 || !noted {
			t.Error("the application was not stopped")
		}
		finishes(t, w, c, 2)
	})
	t.Run("with the old server stopped", func(t *testing.T) {
		w, c, said := killed(t)
		u := w.to18(&said, "")
		u.Move = func(ctx context.Context, host string) error {
			_, err := w.clientset.AppsV1().StatefulSets("production").Patch(ctx, "shop-postgresql", types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
			w.try(err)
			return die(ctx, host)
		}
		upTo(t, c, u)
		finishes(t, w, c, 2)
	})
	t.Run("after the switch", func(t *testing.T) {
		w, c, said := killed(t)
		if _, err := c.UpgradeDatabase(t.Context(), "production", w.to18(&said, ""), progress.Discard); err != nil {
			t.Fatal(err)
		}
		w.unmark(t, 1, common.StatusDeployed)
		w.unmark(t, 2, common.StatusPendingUpgrade)
		_, err := w.clientset.CoreV1().PersistentVolumeClaims("production").Patch(t.Context(), next, types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"berth/unfinished-upgrade":"true"}}}`), metav1.PatchOptions{})
		w.try(err)
		// A deploy does not go back to the old server either.
		if _, err := c.Deploy(t.Context(), "production", "good:2", progress.Discard); !fault.IsUsage(err) {
			t.Errorf("a deploy: %v", err)
		}
		finishes(t, w, c, 0)
	})
}

func TestOfAnotherVersion(t *testing.T) {
	w, c := newDatabaseWorld(t)
	mustDeploy(t, c, "good:1")
	e := c.config.Environments["production"]
	e.DatabaseVersion = 18
	c.config.Environments["production"] = e
	_, err := c.Deploy(t.Context(), "production", "good:2", progress.Discard)
	if !fault.IsUsage(err) || fault.Hint(err) != "berth database upgrade production --to 18" {
		t.Errorf("a deploy of a newer version: %v (%s)", err, fault.Hint(err))
	}
	w.wants(t, c, "17", "shop-postgresql", old)
	// A release that was removed has left its volume.
	h, err := c.release("production")
	w.try(err)
	w.try(h.Uninstall(time.Minute))
	w.try(w.clientset.CoreV1().Services("production").Delete(t.Context(), "shop-postgresql", metav1.DeleteOptions{}))
	if _, err := c.Deploy(t.Context(), "production", "good:2", progress.Discard); !fault.IsUsage(err) {
		t.Errorf("a deploy beside the volume of another version: %v", err)
	}
}

func TestUpgradeOfNothing(t *testing.T) {
	w, c := newWorld(t)
	w.scales()
	mustDeploy(t, c, "good:1")
	if _, err := c.UpgradeDatabase(t.Context(), "production", Upgrade{To: 18}, progress.Discard); !fault.IsUsage(err) || !strings.Contains(err.Error(), "no PostgreSQL") {
		t.Errorf("got %v", err)
	}
}
