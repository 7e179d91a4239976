package release

import (
	"context"
	"errors"
	"strings"
	"testing"

	engine "helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"berth/internal/config"
)

// errKilled is what a killed step panics with.
var errKilled = errors.New("killed")

type databaseWorld struct {
	*world
	// refuseAfter makes the API refuse what comes after the next Service.
	refuseAfter error
}

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

const old, next = "data-shop-postgresql-0", "data-shop-postgres18-0"

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
