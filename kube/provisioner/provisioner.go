// Package provisioner makes PersistentVolumes of folders on this machine.
//
// The provisioner inside kube-controller-manager does the same below /tmp,
// which most systems empty at boot; here the folder is named by the caller and
// data outlives a reboot. All nodes of a local cluster are on this machine, so
// a volume belongs to none of them and outlives a node's removal.
package provisioner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Name is what a StorageClass gives as its provisioner.
const Name = "berth.local/folder"

// NewCommand returns the command that serves claims until it is stopped.
func NewCommand() *cobra.Command {
	var kubeconfig, root string
	command := &cobra.Command{
		Use:          "provisioner",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("read kubeconfig: %w", err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("make client: %w", err)
			}
			controller.NewProvisionController(command.Context(), client, Name, folders{root},
				controller.LeaderElection(false),
				controller.ResyncPeriod(5*time.Minute),
				controller.ExponentialBackOffOnError(true),
			).Run(command.Context())
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	command.Flags().StringVar(&root, "root", "", "folder that holds the volumes")
	return command
}

// folders provisions one folder a volume below root.
type folders struct{ root string }

func (f folders) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	folder := filepath.Join(f.root, options.PVName)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make volume: %w", err)
	}
	// A hostPath volume takes no fsGroup, and the pod runs as a user that is
	// not known here. The root folder above is closed to everyone else.
	if err := os.Chmod(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open volume: %w", err)
	}
	mustExist := corev1.HostPathDirectory // a volume that vanished must not come back empty
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: options.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: folder, Type: &mustExist},
			},
		},
	}, controller.ProvisioningFinished, nil
}

func (f folders) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	// The name, not the path in the object, decides what is removed.
	if err := os.RemoveAll(filepath.Join(f.root, filepath.Base(volume.Name))); err != nil {
		return fmt.Errorf("remove volume: %w", err)
	}
	return nil
}
