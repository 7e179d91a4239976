package provisioner

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func TestProvisionMakesAFolderThatAnyUserOfThePodCanWrite(t *testing.T) {
	root := t.TempDir()
	volume, state, err := folders{root}.Provision(t.Context(), options("pvc-1"))
	if err != nil || state != controller.ProvisioningFinished {
		t.Fatalf("got %s, %v", state, err)
	}
	path := volume.Spec.HostPath.Path
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(path) != root || info.Mode().Perm() != 0o777 {
		t.Errorf("the volume is %s with mode %v", path, info.Mode().Perm())
	}
	if volume.Spec.NodeAffinity != nil {
		t.Error("the volume is bound to a node, and would be lost with it")
	}
	if *volume.Spec.HostPath.Type != corev1.HostPathDirectory {
		t.Error("a volume that vanished would come back empty")
	}
	if got := volume.Spec.Capacity[corev1.ResourceStorage]; got.String() != "1Gi" {
		t.Errorf("capacity is %s, want what was asked for", got.String())
	}
}

// A provisioner that was interrupted is asked again.
func TestProvisionAgainKeepsTheData(t *testing.T) {
	root := t.TempDir()
	f := folders{root}
	if _, _, err := f.Provision(t.Context(), options("pvc-1")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "pvc-1", "data")
	if err := os.WriteFile(file, []byte("rows"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Provision(t.Context(), options("pvc-1")); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "rows" {
		t.Errorf("data is %q, %v", content, err)
	}
}

func TestDeleteRemovesTheVolumeAlone(t *testing.T) {
	root := t.TempDir()
	f := folders{root}
	for _, name := range []string{"pvc-1", "pvc-2"} {
		if _, _, err := f.Provision(t.Context(), options(name)); err != nil {
			t.Fatal(err)
		}
	}
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pvc-1"}}
	volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: filepath.Join(root, "pvc-2")} // what the object says has no say
	if err := f.Delete(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].Name() != "pvc-2" {
		t.Errorf("left are %v, want pvc-2", left)
	}
	if err := f.Delete(t.Context(), volume); err != nil {
		t.Errorf("a second deletion fails: %v", err)
	}
}

func options(name string) controller.ProvisionOptions {
	reclaim := corev1.PersistentVolumeReclaimDelete
	return controller.ProvisionOptions{
		PVName:       name,
		StorageClass: &storagev1.StorageClass{ReclaimPolicy: &reclaim},
		PVC: &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		}},
	}
}
