package local

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	storage "k8s.io/client-go/applyconfigurations/storage/v1"
	"k8s.io/client-go/kubernetes"
)

// storageClass is the default class: folders below the state folder, made by
// the provisioner of kube/.
const storageClass = "berth"

// grant gives the cluster's own users what they need beyond the roles that
// RBAC's bootstrap binds, and makes the storage class.
func grant(ctx context.Context, client kubernetes.Interface) error {
	options := metav1.ApplyOptions{FieldManager: "berth", Force: true}
	// What CoreDNS' kubernetes plugin watches.
	role := rbac.ClusterRole("berth:dns").WithRules(
		rbac.PolicyRule().WithAPIGroups("").WithResources("services", "pods", "namespaces").WithVerbs("list", "watch"),
		rbac.PolicyRule().WithAPIGroups("discovery.k8s.io").WithResources("endpointslices").WithVerbs("list", "watch"),
	)
	if _, err := client.RbacV1().ClusterRoles().Apply(ctx, role, options); err != nil {
		return fmt.Errorf("apply role of the DNS server: %w", err)
	}
	role = rbac.ClusterRole(policiesUser).WithRules(
		rbac.PolicyRule().WithAPIGroups("").WithResources("pods", "namespaces").WithVerbs("list", "watch"),
		rbac.PolicyRule().WithAPIGroups("networking.k8s.io").WithResources("networkpolicies").WithVerbs("list", "watch"),
	)
	if _, err := client.RbacV1().ClusterRoles().Apply(ctx, role, options); err != nil {
		return fmt.Errorf("apply role of network policies: %w", err)
	}
	for user, role := range map[string]string{
		dnsUser:           "berth:dns",
		policiesUser:      policiesUser,
		provisionerUser:   "system:persistent-volume-provisioner",
		kubeletClientUser: "system:kubelet-api-admin",
	} {
		if err := bind(ctx, client, user, role); err != nil {
			return err
		}
	}
	class := storage.StorageClass(storageClass).
		WithAnnotations(map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}).
		WithProvisioner("berth.local/folder")
	if _, err := client.StorageV1().StorageClasses().Apply(ctx, class, options); err != nil {
		return fmt.Errorf("apply storage class: %w", err)
	}
	return nil
}

// bind gives a user a ClusterRole.
func bind(ctx context.Context, client kubernetes.Interface, user, role string) error {
	binding := rbac.ClusterRoleBinding("berth:" + user).
		WithSubjects(rbac.Subject().WithAPIGroup("rbac.authorization.k8s.io").WithKind("User").WithName(user)).
		WithRoleRef(rbac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("ClusterRole").WithName(role))
	if _, err := client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, metav1.ApplyOptions{FieldManager: "berth", Force: true}); err != nil {
		return fmt.Errorf("apply role binding of %s: %w", user, err)
	}
	return nil
}
