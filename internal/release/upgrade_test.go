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
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/progress"
)

// errKilled is what a killed step panics with.
var errKilled = errors.New("killed")

// newDatabaseWorld is a world with PostgreSQL, whose StatefulSets have pods and volumes.
func newDatabaseWorld(t *testing.T) (*databaseWorld, *Client) {
	w, c := newWorld(t)
	w.scales()
	d := &databaseWorld{world: w}
	sets := func(verb string, after func(name string, patch string)) {
		w.clientset.PrependReactor(verb, "statefulsets", func(action clienttesting.Action) (bool, runtime.Object, error) {
			handled, object, err := clienttesting.ObjectReaction(w.clientset.Tracker())(action)
			if err == nil {
				switch a := action.(type) {
				case clienttesting.CreateAction:
					after(a.GetObject().(*apps.StatefulSet).Name, "")
				case clienttesting.PatchAction:
					after(a.GetName(), string(a.GetPatch()))
				case clienttesting.DeleteAction:
					after(a.GetName(), "")
				}
			}
			return handled, object, err
		})
	}
	sets("create", func(name, _ string) {
		object, err := w.clientset.Tracker().Get(apps.SchemeGroupVersion.WithResource("statefulsets"), "production", name)
		w.try(err)
		d.run(object.(*apps.StatefulSet))
	})
	sets("delete", func(name, _ string) { d.pod(name, false) })
	sets("patch", func(name, patch string) { d.pod(name, !strings.Contains(patch, `"replicas":0`)) })
	c.config.Environments["production"] = config.Environment{Database: config.Postgres, DatabaseVersion: 17, Replicas: 2}
	w.onUpdate = d.update
	return d, c
}

type databaseWorld struct {
	*world
	// refuseAfter makes the API refuse what comes after the next Service.
	refuseAfter error
}

// pod makes the pod of a StatefulSet, or removes it.
func (d *databaseWorld) pod(set string, there bool) {
	pods := core.SchemeGroupVersion.WithResource("pods")
	if !there {
		err := d.clientset.Tracker().Delete(pods, "production", set+"-0")
		if err != nil && !apierrors.IsNotFound(err) {
			d.t.Error(err)
		}
		return
	}
	pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: set + "-0", Namespace: "production", OwnerReferences: controlledBy("StatefulSet", set, types.UID(set))}}
	pod.Status.Phase = core.PodRunning
	pod.Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}
	d.put(pods, pod)
}

// run makes a StatefulSet one whose pod serves.
func (d *databaseWorld) run(set *apps.StatefulSet) {
	set.Namespace, set.UID = "production", types.UID(set.Name)
	set.Status.Replicas, set.Status.ReadyReplicas, set.Status.UpdatedReplicas, set.Status.AvailableReplicas = 1, 1, 1, 1
	d.put(apps.SchemeGroupVersion.WithResource("statefulsets"), set)
	d.pod(set.Name, true)
}

// update does what a cluster does with what Helm applies and removes.
func (d *databaseWorld) update(original, target engine.ResourceList) {
	for _, info := range target {
		object := info.Object.(*unstructured.Unstructured).Object
		switch info.Mapping.GroupVersionKind.Kind {
		case "Service":
			service := &core.Service{}
			d.try(runtime.DefaultUnstructuredConverter.FromUnstructured(object, service))
			service.Namespace = "production"
			d.put(core.SchemeGroupVersion.WithResource("services"), service)
			if d.refuseAfter != nil {
				d.refuse, d.refuseAfter = d.refuseAfter, nil
			}
		case "StatefulSet":
			set := &apps.StatefulSet{}
			d.try(runtime.DefaultUnstructuredConverter.FromUnstructured(object, set))
			d.run(set)
			claim := &core.PersistentVolumeClaim{ObjectMeta: set.Spec.VolumeClaimTemplates[0].ObjectMeta}
			claim.Name, claim.Namespace = "data-"+set.Name+"-0", "production"
			if err := d.clientset.Tracker().Create(core.SchemeGroupVersion.WithResource("persistentvolumeclaims"), claim, "production"); err != nil && !apierrors.IsAlreadyExists(err) {
				d.t.Error(err)
			}
		}
	}
	for _, info := range original.Difference(target) {
		if info.Mapping.GroupVersionKind.Kind == "StatefulSet" {
			err := d.clientset.Tracker().Delete(apps.SchemeGroupVersion.WithResource("statefulsets"), "production", info.Name)
			if err != nil && !apierrors.IsNotFound(err) {
				d.t.Error(err)
			}
			d.pod(info.Name, false)
		}
	}
}

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

// servers are the StatefulSets that there are, and claims the volumes.
func (d *databaseWorld) servers() (names []string) {
	list, err := d.clientset.AppsV1().StatefulSets("production").List(context.Background(), metav1.ListOptions{})
	d.try(err)
	for _, set := range list.Items {
		if *set.Spec.Replicas > 0 {
			names = append(names, set.Name)
		}
	}
	return names
}

func (d *databaseWorld) claims() (names []string) {
	list, err := d.clientset.CoreV1().PersistentVolumeClaims("production").List(context.Background(), metav1.ListOptions{})
	d.try(err)
	for _, claim := range list.Items {
		names = append(names, claim.Name)
	}
	return names
}

// wants compares what there is with what should be.
func (d *databaseWorld) wants(t *testing.T, c *Client, server, servers, claims string) {
	t.Helper()
	serves, err := c.Database(t.Context(), "production")
	if err != nil || serves.number() != server {
		t.Errorf("%s serves, want %s: %v", serves, server, err)
	}
	if got := strings.Join(d.servers(), " "); got != servers {
		t.Errorf("the servers are %q, want %q", got, servers)
	}
	if got := strings.Join(d.claims(), " "); got != claims {
		t.Errorf("the volumes are %q, want %q", got, claims)
	}
	if replicas, pods, noted := d.paused(); replicas != 2 || pods != 2+len(d.servers()) || noted {
		t.Errorf("the application has %d replicas, there are %d pods, paused: %v", replicas, pods, noted)
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

const old, next = "data-shop-postgresql-0", "data-shop-postgres18-0"

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

// unmark gives a revision the status that it has while the one after it is under way.
func (d *databaseWorld) unmark(t *testing.T, revision int, status common.Status) {
	t.Helper()
	found, err := d.storage.Get("shop", revision)
	if err != nil {
		t.Fatal(err)
	}
	r := found.(*helmrelease.Release)
	r.Info.Status = status
	d.try(d.storage.Update(r))
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
