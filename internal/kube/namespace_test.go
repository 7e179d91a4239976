package kube

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// What the namespace's controller would wait for is asked to go at once: every pod within
// a second, every claim with it.
func TestARemovedNamespaceIsHurried(t *testing.T) {
	in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "aside"} }
	client := fake.NewClientset(
		&core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "aside", UID: "1"}},
		&core.Pod{ObjectMeta: in("web")}, &core.Pod{ObjectMeta: in("postgresql-0")}, &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "production"}},
		&core.PersistentVolumeClaim{ObjectMeta: in("data-postgresql-0")},
	)
	var asked []string
	client.PrependReactor("delete", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		deleted := action.(clienttesting.DeleteActionImpl)
		text := fmt.Sprintf("%s %s/%s", deleted.GetResource().Resource, deleted.Namespace, deleted.Name)
		if grace := deleted.DeleteOptions.GracePeriodSeconds; grace != nil {
			text += fmt.Sprintf(" within %d s", *grace)
		}
		if conditions := deleted.DeleteOptions.Preconditions; conditions != nil {
			text += " of UID " + string(*conditions.UID)
		}
		asked = append(asked, text)
		return false, nil, nil
	})
	if err := RemoveNamespace(t.Context(), client, "aside", "1"); err != nil {
		t.Fatal(err)
	}
	// The namespace goes first, as nothing is made again in one that is on its way out.
	want := []string{
		"namespaces /aside of UID 1", "pods aside/postgresql-0 within 1 s", "pods aside/web within 1 s",
		"persistentvolumeclaims aside/data-postgresql-0",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// A namespace is gone when its volumes are.
func TestARemovedNamespaceTakesItsVolumesAlong(t *testing.T) {
	volume := func(name, namespace string, policy core.PersistentVolumeReclaimPolicy) *core.PersistentVolume {
		return &core.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: core.PersistentVolumeSpec{
			ClaimRef: &core.ObjectReference{Namespace: namespace}, PersistentVolumeReclaimPolicy: policy,
		}}
	}
	client := fake.NewClientset(
		volume("of another", "production", core.PersistentVolumeReclaimDelete), volume("kept", "aside", core.PersistentVolumeReclaimRetain),
		volume("going", "aside", core.PersistentVolumeReclaimDelete),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := RemoveNamespace(ctx, client, "aside", "1"); err == nil {
		t.Error("it is gone, and its volume is not")
	}
	if err := client.CoreV1().PersistentVolumes().Delete(t.Context(), "going", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := RemoveNamespace(t.Context(), client, "aside", "1"); err != nil {
		t.Error(err)
	}
}
